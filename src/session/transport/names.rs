//! Addresses of names, from the system's resolver, kept for a while: a takeover does not wait for a
//! resolver that is slow, nor fail with one that is down.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Boot;

/// Younger answers are used without asking again.
const FRESH: Duration = Duration::from_secs(120);
/// Older answers are not used, even when the resolver does not answer.
const USABLE: Duration = Duration::from_hours(1);

type Known = HashMap<(String, u16), (Boot, Vec<SocketAddr>)>;

/// What is known. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Mutex<Known>>);

impl Names {
    /// The addresses of `name`, fresh or looked up; older ones when the resolver fails. Cancel safe.
    ///
    /// # Errors
    /// The resolver's.
    pub async fn addresses(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some(fresh) = self.known(name, port, FRESH) {
            return Ok(fresh);
        }
        match self.look_up(name, port).await {
            Err(error) => self.known(name, port, USABLE).ok_or(error),
            found => found,
        }
    }

    /// Asks the resolver. Cancel safe.
    ///
    /// # Errors
    /// The resolver's; what is known stays.
    pub async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((name, port)).await?.collect();
        if !found.is_empty() {
            let entry = (Boot::now(), found.clone());
            self.lock().insert((name.to_owned(), port), entry);
        }
        Ok(found)
    }

    /// They did not help: the resolver is asked next time.
    pub fn doubt(&self, name: &str, port: u16) {
        if let Some((at, _)) = self.lock().get_mut(&(name.to_owned(), port)) {
            *at = Boot::NEVER;
        }
    }

    fn known(&self, name: &str, port: u16, age: Duration) -> Option<Vec<SocketAddr>> {
        let known = self.lock();
        let (at, addresses) = known.get(&(name.to_owned(), port))?;
        (*at != Boot::NEVER && Boot::now().since(*at) < age).then(|| addresses.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(names: &Names, age: Duration) {
        let at =
            Boot::from_ms(Boot::now().as_ms() - i64::try_from(age.as_millis()).expect("short"));
        let address = "192.0.2.1:443".parse().expect("an address");
        names
            .lock()
            .insert(("nowhere.invalid".to_owned(), 443), (at, vec![address]));
    }

    #[tokio::test]
    async fn an_answer_outlives_a_resolver_that_is_down_but_not_for_ever() {
        let names = Names::default();
        put(&names, Duration::from_secs(1));
        let fresh = names.addresses("nowhere.invalid", 443).await;
        assert_eq!(fresh.expect("known").len(), 1);
        put(&names, FRESH * 2);
        let old = names.addresses("nowhere.invalid", 443).await;
        assert_eq!(old.expect("still usable").len(), 1);
        names.doubt("nowhere.invalid", 443);
        assert!(names.addresses("nowhere.invalid", 443).await.is_err());
        put(&names, USABLE);
        assert!(names.addresses("nowhere.invalid", 443).await.is_err());
    }

    #[tokio::test]
    async fn what_was_looked_up_is_known() {
        let names = Names::default();
        let found = names.look_up("localhost", 1).await.expect("the hosts file");
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(names.known("localhost", 1, FRESH), Some(found));
    }
}
