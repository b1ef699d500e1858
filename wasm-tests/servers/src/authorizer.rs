//! A forward-auth server that answers as a test decides, and records what it was asked.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, StatusCode, body::Incoming};

use crate::faulty::Answer;
use crate::received::{Journal, Received};
use crate::serve::{self, Reply, Server};

/// A running auth server. Dropping it stops it.
#[derive(Debug)]
pub struct Authorizer {
    journal: Arc<Journal>,
    server: Server,
}

impl Authorizer {
    /// Starts it on a free port. `decide` answers each question.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start(decide: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        let (journal, decide) = (Arc::new(Journal::default()), Arc::new(decide));
        let kept = journal.clone();
        let handler = move |request: Request<Incoming>, peer| {
            let (journal, decide) = (kept.clone(), decide.clone());
            async move {
                let (head, body) = request.into_parts();
                // A body that breaks off counts as none.
                let length = body.collect().await.map_or(0, |body| body.to_bytes().len() as u64);
                let asked = Received::new(&head, length, peer);
                let reply = reply(decide(&asked));
                journal.add(asked);
                reply
            }
        };
        let listener = serve::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        Ok(Self { journal, server: Server::http(listener, handler)? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The questions that it was asked.
    pub fn asked(&self) -> &Journal {
        &self.journal
    }
}

/// # Panics
/// If hyper would not send this answer. Use [`Faulty`](crate::faulty::Faulty) for that.
pub(crate) fn reply(answer: Answer) -> Reply {
    let mut reply = Reply::new(answer.body.into());
    *reply.status_mut() = StatusCode::from_u16(answer.status).expect("a status");
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
        reply.headers_mut().append(name, HeaderValue::from_bytes(&value).expect("the value of a header"));
    }
    reply
}
