//! Fetching what a URL names, from public addresses only.
//!
//! A name is resolved once, every address it has must be public, and the connection goes to what was
//! checked: a second answer of a name server cannot lead elsewhere. Redirects are followed by hand,
//! each as checked as the first, and never from https to http.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::stream;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, redirect};
use rustls::ClientConfig;
use url::{Host, Url};

use super::{Accepting, MediaProblem, kind};
use crate::outbound::message::MediaRef;
use crate::store::Upload;

const CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const IDLE: Duration = Duration::from_secs(20);
/// All together, redirects too.
const WHOLE: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 5;

#[derive(Clone, Debug)]
pub(super) struct Web {
    client: Client,
    permits: Permits,
}

/// Whether an address may be connected to.
pub(super) type Permits = fn(IpAddr) -> bool;

impl Web {
    pub(super) fn new(tls: ClientConfig, permits: Permits) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Resolver { permits })
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(IDLE)
            .no_proxy()
            .build()?;
        Ok(Self { client, permits })
    }

    pub(super) async fn fetch(
        &self,
        url: &str,
        media: &MediaRef,
        kind: &'static str,
        accepting: &Accepting,
    ) -> Result<Upload, MediaProblem> {
        let url = Url::parse(url).map_err(|_| MediaProblem::Url("it is no URL"))?;
        let fetched = async {
            let (url, response) = self.follow(url).await?;
            let limit = accepting.limits.max_bytes;
            if response.content_length().is_some_and(|n| n > limit) {
                return Err(MediaProblem::TooLarge { limit });
            }
            let said = response.headers().get(CONTENT_TYPE);
            let said = said.and_then(|said| said.to_str().ok()).map(str::to_owned);
            let name = url.path_segments().and_then(|mut path| path.next_back());
            let name = name.map(|name| {
                percent_encoding::percent_decode_str(name)
                    .decode_utf8_lossy()
                    .into_owned()
            });
            let name = name.as_deref().filter(|name| !name.is_empty());
            if media.mime_type.is_none() {
                // Before it is loaded: an error page that says so is not worth it.
                kind::fitting(&kind::of(said.as_deref(), name), kind)?;
            }
            let body = stream::try_unfold(response, |mut response: Response| async move {
                let chunk = response.chunk().await.map_err(|error| reason(&error))?;
                Ok::<_, String>(chunk.map(|chunk| (chunk, response)))
            });
            accepting.take_in(body, said.as_deref(), name).await
        };
        let seconds = WHOLE.as_secs();
        tokio::time::timeout(WHOLE, fetched)
            .await
            .unwrap_or(Err(MediaProblem::TooSlow { seconds }))
    }

    /// The answer, and which URL it is of in the end.
    async fn follow(&self, mut url: Url) -> Result<(Url, Response), MediaProblem> {
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let sent = self.client.get(url.clone()).send().await;
            let response = sent.map_err(|error| failure(&error, &url))?;
            let status = response.status();
            if !status.is_redirection() {
                return match status.is_success() {
                    true => Ok((url, response)),
                    false => Err(MediaProblem::Status(status.as_u16())),
                };
            }
            let next = response.headers().get(LOCATION);
            let next = next.and_then(|next| url.join(next.to_str().ok()?).ok());
            let next = next.ok_or(MediaProblem::Url("it redirects to nowhere"))?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(MediaProblem::Url("it redirects from https to http"));
            }
            url = next;
        }
        Err(MediaProblem::Url("it redirects more than five times"))
    }

    /// What needs no name server. Names are checked when they are resolved.
    fn check(&self, url: &Url) -> Result<(), MediaProblem> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(MediaProblem::Url("only http:// and https:// are"));
        }
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(MediaProblem::Url("it names no host")),
        };
        if (self.permits)(address) {
            return Ok(());
        }
        Err(not_public(url))
    }
}

fn not_public(url: &Url) -> MediaProblem {
    MediaProblem::NotPublic {
        host: url.host_str().unwrap_or_default().to_owned(),
    }
}

fn failure(error: &reqwest::Error, url: &Url) -> MediaProblem {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return not_public(url);
        }
        cause = error.source();
    }
    MediaProblem::Unreachable(reason(error))
}

/// Without the URL, which may hold a secret.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match std::ptr::addr_eq(deepest, error) {
        true => "the exchange failed".to_owned(),
        false => deepest.to_string(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the name has an address that is not public")]
struct NotPublic;

struct Resolver {
    permits: Permits,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let permits = self.permits;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            if !found.iter().all(|address| permits(address.ip())) {
                return Err(NotPublic.into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}
