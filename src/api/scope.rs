//! Who may do what: the three scopes, and the tokens that open them.

use std::sync::Arc;

use crate::webhooks::signature::Secret;

/// What a token lets its bearer do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Take work, answer it, send: `AGENT_SECRET`.
    Agent,
    /// Look at everything but codes that link: `ADMIN_READ_TOKEN`.
    Read,
    /// All of it, and change it: `ADMIN_API_TOKEN`.
    Operate,
}

impl Scope {
    /// Whether this scope suffices where `needed` is asked for.
    pub fn covers(self, needed: Self) -> bool {
        self == Self::Operate || self == needed
    }
}

/// All tokens of a process. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Doors {
    tokens: Arc<[(Scope, Secret)]>,
    agents: Arc<[Secret]>,
}

impl Doors {
    /// Lets in who shows one of these.
    pub fn new(agents: &[Secret], readers: &[Secret], operators: &[Secret]) -> Self {
        let all = [
            (Scope::Operate, operators),
            (Scope::Read, readers),
            (Scope::Agent, agents),
        ];
        let named = |(scope, secrets): (Scope, &[Secret])| -> Vec<(Scope, Secret)> {
            let named = secrets.iter().cloned().map(|secret| (scope, secret));
            named.collect()
        };
        Self {
            tokens: all.into_iter().flat_map(named).collect(),
            agents: agents.into(),
        }
    }

    /// The scope of `token`, the widest if it is set for several; `None`: nobody's token. The time it
    /// takes tells nothing of any token.
    pub fn scope_of(&self, token: &[u8]) -> Option<Scope> {
        self.tokens.iter().fold(None, |found, (scope, secret)| {
            // Each one is compared, whichever fits.
            found.or(secret.is(token).then_some(*scope))
        })
    }

    /// The tokens of people, each with its scope: [`Scope::Operate`] or [`Scope::Read`].
    pub fn of_people(&self) -> impl Iterator<Item = (Scope, &Secret)> {
        let people = self.tokens.iter().filter(|(s, _)| *s != Scope::Agent);
        people.map(|(scope, secret)| (*scope, secret))
    }

    /// What agents may sign their requests with.
    pub fn of_agents(&self) -> &[Secret] {
        &self.agents
    }

    /// Whether nobody at all is let in.
    pub fn are_shut(&self) -> bool {
        self.tokens.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        let parsed = texts.iter().map(|text| Secret::parse(text));
        parsed.collect::<Result<_, _>>().expect("long enough")
    }

    #[test]
    fn each_token_opens_its_scope_and_no_other_opens_anything() {
        let doors = Doors::new(
            &secrets(&["agent-0123456789ab", "both-0123456789abc"]),
            &secrets(&["reader-0123456789a"]),
            &secrets(&["old-0123456789abcd", "both-0123456789abc"]),
        );
        for (token, scope) in [
            ("agent-0123456789ab", Some(Scope::Agent)),
            ("reader-0123456789a", Some(Scope::Read)),
            ("old-0123456789abcd", Some(Scope::Operate)),
            ("both-0123456789abc", Some(Scope::Operate)),
            ("reader-0123456789", None),
            ("", None),
        ] {
            assert_eq!(doors.scope_of(token.as_bytes()), scope, "{token:?}");
        }
        assert_eq!(doors.of_people().count(), 3);
        assert!(Doors::default().are_shut() && Doors::default().scope_of(b"").is_none());
    }

    #[test]
    fn operators_may_do_everything_and_the_others_only_their_own() {
        use Scope::{Agent, Operate, Read};
        let covered = [
            (Operate, [true, true, true]),
            (Read, [false, true, false]),
            (Agent, [true, false, false]),
        ];
        for (scope, expected) in covered {
            assert_eq!([Agent, Read, Operate].map(|s| scope.covers(s)), expected);
        }
    }
}
