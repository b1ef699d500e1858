//! An introspection endpoint (RFC 7662) that answers as a test says, and keeps what it was asked, form and all.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt as _;
use hyper::{Request, body::Incoming};

use crate::authorizer::reply;
use crate::faulty::Answer;
use crate::received::{Journal, Received};
use crate::serve::{self, Server};

/// A question: the request, and the form in its body.
#[derive(Debug, Clone)]
pub struct Question {
    /// The request.
    pub received: Received,
    /// Its body, as it came.
    pub body: Vec<u8>,
}

impl Question {
    /// The names and values of the form, in their order.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The token that is asked about; none where the form does not name exactly one.
    pub fn token(&self) -> Option<String> {
        let tokens: Vec<_> = self.form().into_iter().filter(|(name, _)| name == "token").collect();
        match <[_; 1]>::try_from(tokens) {
            Ok([(_, token)]) => Some(token),
            Err(_) => None,
        }
    }
}

/// A running endpoint. Dropping it stops it.
#[derive(Debug)]
pub struct Introspector {
    journal: Arc<Journal>,
    last: Arc<Mutex<Option<Question>>>,
    server: Server,
}

impl Introspector {
    /// Starts it on a free port; `decide` gives the answer to each question.
    ///
    /// # Errors
    /// No port to be had.
    pub async fn start(decide: impl Fn(&Question) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        let (journal, decide) = (Arc::new(Journal::default()), Arc::new(decide));
        let last: Arc<Mutex<Option<Question>>> = Arc::default();
        let kept = (journal.clone(), last.clone());
        let handler = move |request: Request<Incoming>, peer| {
            let ((journal, last), decide) = (kept.clone(), decide.clone());
            async move {
                let (head, body) = request.into_parts();
                // A body that breaks off is none that was asked with.
                let body = body.collect().await.map_or_else(|_| Vec::new(), |body| body.to_bytes().to_vec());
                let received = Received::new(&head, body.len() as u64, peer);
                let question = Question { received: received.clone(), body };
                let reply = reply(decide(&question));
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(question);
                journal.add(received);
                reply
            }
        };
        let listener = serve::bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
        Ok(Self { journal, last, server: Server::http(listener, handler)? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What it was asked, without the forms.
    pub fn asked(&self) -> &Journal {
        &self.journal
    }

    /// The newest question.
    pub fn last(&self) -> Option<Question> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
