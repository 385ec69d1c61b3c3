use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Failure;
use super::socket::Bound;
use super::tls::{self, Tls};
use crate::probe::HttpProbe;

/// How much of a document is read, in bytes.
const BODY: usize = 64 << 10;
/// How long the headers of an answer may be, in bytes.
const HEADERS: usize = 64 << 10;
const AGENT: &str = concat!("pointsman/", env!("CARGO_PKG_VERSION"));

/// A document that is asked for by HTTP/1.1 (RFC 9112), or by HTTPS, and looked at.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) probe: HttpProbe,
    tls: Tls,
}

impl Http {
    pub(super) fn new(probe: HttpProbe) -> Self {
        let tls = Tls::new(probe.ca.clone());
        Self { probe, tls }
    }

    /// Asks for the document over a connection of its own. Where another one is to be had elsewhere
    /// (3xx), that is the answer.
    pub(super) async fn get(&self, bound: Bound) -> Result<(), Failure> {
        let stream = bound.connect(self.probe.server).await?;
        if self.probe.is_https() {
            let name = tls::server_name(self.probe.host())?;
            let stream = self.tls.connect(name, stream).await?;
            self.get_over(stream).await
        } else {
            self.get_over(stream).await
        }
    }

    async fn get_over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), Failure> {
        let mut http = http1::Builder::new();
        http.max_buf_size(HEADERS);
        let (mut sender, connection) =
            http.handshake(TokioIo::new(stream)).await.map_err(|error| no_http(&error))?;
        let request = self.request()?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| no_http(&error))?;
            self.judge(response).await
        };
        tokio::pin!(exchange);
        tokio::select! {
            judged = &mut exchange => judged,
            // The connection may be done before its last answer is looked at.
            _ = connection => exchange.await,
        }
    }

    fn request(&self) -> Result<Request<Empty<&'static [u8]>>, Failure> {
        let url = &self.probe.url;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        Request::get(path)
            .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, AGENT)
            .header(CONNECTION, "close")
            .body(Empty::new())
            .map_err(|error| Failure::Unsent(error.to_string()))
    }

    async fn judge(&self, response: Response<Incoming>) -> Result<(), Failure> {
        let status = response.status();
        let is_right = match self.probe.statuses.as_slice() {
            [] => status.is_success(),
            wanted => wanted.contains(&status.as_u16()),
        };
        if !is_right {
            return Err(Failure::Wrong(format!("status {}", number_and_name(status))));
        }
        match &self.probe.body {
            Some(wanted) => find(wanted.as_bytes(), response.into_body()).await,
            None => Ok(()),
        }
    }
}

/// Reads until the document has what is wanted in it, or is at its end or too long.
async fn find(wanted: &[u8], mut body: Incoming) -> Result<(), Failure> {
    let mut read = Vec::new();
    while !contains(&read, wanted) {
        if body.is_end_stream() || read.len() >= BODY {
            return Err(missing(wanted, read.len()));
        }
        let Some(frame) = body.frame().await else {
            return Err(missing(wanted, read.len()));
        };
        let frame = frame.map_err(|error| no_http(&error))?;
        if let Some(data) = frame.data_ref() {
            let room = BODY - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(())
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|part| part == wanted)
}

fn missing(wanted: &[u8], read: usize) -> Failure {
    let wanted = String::from_utf8_lossy(wanted);
    Failure::Wrong(format!("no {wanted:?} in a document of {read} bytes or more"))
}

fn number_and_name(status: StatusCode) -> String {
    let name = status.canonical_reason().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}{name}", status.as_u16())
}

fn no_http(error: &hyper::Error) -> Failure {
    // What hyper says of it is in what has caused it.
    let cause = std::error::Error::source(error);
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::Wrong(format!("no HTTP answer: {error}{cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_wherever_it_is() {
        for (text, wanted, expected) in [
            ("all is well", "well", true),
            ("all is well", "all", true),
            ("all is wel", "well", false),
            ("", "well", false),
            ("", "", true),
        ] {
            assert_eq!(contains(text.as_bytes(), wanted.as_bytes()), expected, "{text:?}");
        }
    }
}
