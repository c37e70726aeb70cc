//! HTTP for the library and for media: version page, uploads and downloads.
//!
//! - A completed exchange is `Ok` whatever its status; an error means that it did not happen.
//! - Only `https`, and plain `http` for loopback hosts; redirects are followed to `https` (or from
//!   loopback to loopback) and not more than five times.
//! - Everything is bounded: buffered bodies in size, streams in size and in what waits between the
//!   network and their reader, exchanges in time. A stream must move within half a minute.
//!
//! The streaming calls are synchronous, as the library's trait wants them: call them from a
//! blocking thread of a running runtime. Their network side is a task owned by the call or by the
//! returned body, which aborts it.

mod body;

use std::io::Read;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use wacore::net::{
    HttpClient, HttpRequest, HttpResponse, StreamingHttpResponse, UploadBody, WHATSAPP_WEB_ORIGIN,
};

use self::body::{BodyReader, CHUNKS_IN_FLIGHT, feed, pump};
use super::endpoint::{Network, is_loopback, is_whatsapp};

/// A response that is kept in memory. The largest that the library asks for is a script of a few
/// MiB.
const MAX_BUFFERED_BYTES: u64 = 64 << 20;

/// A streamed response: WhatsApp's limit for documents is 2 GiB, and encryption adds little.
const MAX_STREAMED_BYTES: u64 = (2 << 30) + (1 << 20);

/// How long an exchange may take beside its upload, and a stream may stand still.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(60);
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// An upload slower than this is given up.
const SLOWEST_UPLOAD_BYTES_PER_SECOND: u64 = 16 << 10;

const MAX_REDIRECTS: usize = 5;

/// Why an HTTP exchange did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request cannot be sent as it is; another attempt will not help.
    #[error("the HTTP request is not allowed: {0}")]
    NotAllowed(String),
    /// The response is larger than we take.
    #[error("the HTTP response is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Nothing moved for too long; worth another attempt.
    #[error("the HTTP exchange timed out")]
    TimedOut,
    /// The reader of the upload failed or ended early.
    #[error("the body to upload cannot be read")]
    Upload(#[source] std::io::Error),
    /// Name lookup, connect, TLS, proxy or the stream failed; worth another attempt.
    #[error("the HTTP exchange failed")]
    Network(#[source] reqwest::Error),
    /// The program is stopping.
    #[error("the HTTP exchange was abandoned")]
    Abandoned,
}

impl From<reqwest::Error> for HttpError {
    fn from(e: reqwest::Error) -> Self {
        if e.is_timeout() {
            return Self::TimedOut;
        }
        // Media URLs carry tokens that open the file.
        Self::Network(e.without_url())
    }
}

/// The HTTP client of all accounts. Clones share its connections.
#[derive(Clone, Debug)]
pub struct WebClient {
    client: Client,
    runtime: tokio::runtime::Handle,
}

impl WebClient {
    /// A client over `network`, with the caller's runtime for the streaming calls. Proxy variables
    /// of the environment are ignored.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(network: &Network) -> Result<Self, HttpError> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(network.http_tls())
            .default_headers(HeaderMap::from_iter([(
                ORIGIN,
                HeaderValue::from_static(WHATSAPP_WEB_ORIGIN),
            )]))
            .connect_timeout(network.connect_timeout)
            .redirect(redirect::Policy::custom(follow))
            .no_proxy();
        if let Some(proxy) = &network.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.for_reqwest())?);
        }
        Ok(Self {
            client: builder.build()?,
            runtime: tokio::runtime::Handle::current(),
        })
    }

    fn request(&self, request: &HttpRequest) -> Result<RequestBuilder, HttpError> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|e| HttpError::NotAllowed(e.to_string()))?;
        let url = Url::parse(&request.url).map_err(|e| HttpError::NotAllowed(e.to_string()))?;
        check(&url, cfg!(feature = "simulator")).map_err(HttpError::NotAllowed)?;
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in &request.headers {
            let invalid = || HttpError::NotAllowed(format!("header {name:?}"));
            headers.insert(
                HeaderName::try_from(name).map_err(|_| invalid())?,
                HeaderValue::try_from(value).map_err(|_| invalid())?,
            );
        }
        Ok(self.client.request(method, url).headers(headers))
    }

    /// Sends the request and keeps the whole answer. Cancel safe.
    pub async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let body = request.body.clone().unwrap_or_default();
        let limit = exchange_limit(body.len() as u64);
        let exchange = self.request(&request)?.body(body).timeout(limit);
        buffered(exchange.send().await?).await
    }

    /// Sends the request and returns the answer's body as a reader that fails when the stream
    /// breaks, stands still, or is longer than 2 GiB. Blocking, see the module.
    pub fn stream(&self, request: &HttpRequest) -> Result<(u16, BodyReader), HttpError> {
        let exchange = self.request(request)?;
        let exchange = exchange.body(request.body.clone().unwrap_or_default());
        let (head, status) = oneshot::channel();
        let (chunks, received) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let task = self.runtime.spawn(async move {
            let response = match tokio::time::timeout(EXCHANGE_LIMIT, exchange.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(e)) => return drop(head.send(Err(e.into()))),
                Err(_) => return drop(head.send(Err(HttpError::TimedOut))),
            };
            // If the caller is gone, the chunks have no receiver either.
            let _ = head.send(Ok(response.status().as_u16()));
            pump(response, chunks, MAX_STREAMED_BYTES, IDLE_LIMIT).await;
        });
        let body = BodyReader::new(received, AbortOnDropHandle::new(task));
        let status = status.blocking_recv().map_err(|_| HttpError::Abandoned)??;
        Ok((status, body))
    }

    /// Sends exactly `length` bytes of `body` with that Content-Length. An answer that comes
    /// before the end of the upload ends it. Blocking, see the module.
    pub fn upload(
        &self,
        request: &HttpRequest,
        body: UploadBody,
        length: u64,
    ) -> Result<HttpResponse, HttpError> {
        let (chunks, mut queued) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let (outgoing, source) = mpsc::channel(1);
        let source = stream::unfold(source, async |mut source: mpsc::Receiver<_>| {
            Some((source.recv().await?, source))
        });
        let exchange = self
            .request(request)?
            .header(reqwest::header::CONTENT_LENGTH, length)
            .timeout(exchange_limit(length))
            .body(reqwest::Body::wrap_stream(source));
        let exchange = async move { buffered(exchange.send().await?).await };
        let forward = async move {
            while let Some(chunk) = queued.recv().await {
                if outgoing.send(chunk).await.is_err() {
                    break;
                }
            }
        };
        let (done, answer) = oneshot::channel();
        let _task = AbortOnDropHandle::new(self.runtime.spawn(async move {
            tokio::pin!(exchange);
            // An answer drops the queue, which ends the feeding below even while the server does
            // not read: the body itself is not polled then.
            let answer = tokio::select! {
                answer = &mut exchange => answer,
                () = forward => exchange.await,
            };
            // The caller can only be gone by a panic of the reader it was given.
            let _ = done.send(answer);
        }));
        feed(body.take(length), length, &chunks).map_err(HttpError::Upload)?;
        drop(chunks);
        answer.blocking_recv().map_err(|_| HttpError::Abandoned)?
    }
}

#[async_trait]
impl HttpClient for WebClient {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        Ok(self.fetch(request).await?)
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        let (status_code, body) = self.stream(&request)?;
        Ok(StreamingHttpResponse {
            status_code,
            body: Box::new(body),
        })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    fn execute_upload(
        &self,
        request: HttpRequest,
        body: UploadBody,
        content_length: u64,
    ) -> anyhow::Result<HttpResponse> {
        Ok(self.upload(&request, body, content_length)?)
    }
}

fn exchange_limit(upload_bytes: u64) -> Duration {
    EXCHANGE_LIMIT + Duration::from_secs(upload_bytes / SLOWEST_UPLOAD_BYTES_PER_SECOND)
}

/// Whether a URL may be requested, and if not, why.
fn check(url: &Url, simulator: bool) -> Result<(), String> {
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        "http" => return Err("http:// goes to loopback hosts only".to_owned()),
        scheme => return Err(format!("{scheme}:// is not supported")),
    }
    if simulator && is_whatsapp(url) {
        return Err("this build (feature `simulator`) never asks WhatsApp's hosts".to_owned());
    }
    Ok(())
}

fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    if let Err(reason) = check(attempt.url(), cfg!(feature = "simulator")) {
        return attempt.error(reason);
    }
    let from_https = attempt
        .previous()
        .last()
        .is_some_and(|from| from.scheme() == "https");
    if from_https && attempt.url().scheme() != "https" {
        return attempt.error("a redirect from https:// to another scheme");
    }
    // A public host must not be able to direct us at services of this machine.
    let from_here = attempt.previous().last().is_some_and(is_loopback);
    if is_loopback(attempt.url()) && !from_here {
        return attempt.error("a redirect to a loopback host");
    }
    attempt.follow()
}

async fn buffered(mut response: Response) -> Result<HttpResponse, HttpError> {
    let limit = MAX_BUFFERED_BYTES;
    if response.content_length().is_some_and(|n| n > limit) {
        return Err(HttpError::TooLarge { limit });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(HttpError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse {
        status_code: response.status().as_u16(),
        body,
    })
}

#[cfg(test)]
mod tests;
