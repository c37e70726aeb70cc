//! Where the auth state of a killed worker lies.

use crate::theatre::{Engine, Theatre};

#[derive(Clone, Copy, Debug)]
pub enum Medium {
    /// A file, beside a shared store on SQLite.
    Local,
}

impl Medium {
    /// A theatre whose workers keep their auth state on this medium. Receipts are checked.
    pub async fn theatre(self, settings: &[(&str, &str)]) -> Theatre {
        let (engine, mode) = match self {
            Self::Local => (Engine::Sqlite, "local"),
        };
        let settings = [settings, &[("WHATSAPP_AUTH_MODE", mode)]].concat();
        let theatre = Theatre::open_on(engine, &settings).await;
        theatre.check_receipts().await;
        theatre
    }
}

/// Makes a test on each medium out of `async fn name(medium: Medium)`.
macro_rules! on_each_medium {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::kills::medium::Medium::Local).await;
            })*
        }
    };
}
pub(crate) use on_each_medium;
