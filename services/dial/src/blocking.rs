//! The same client for code without a runtime: the command line.

use crate::{DialFault, HttpClient, Method, Request, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

/// [`HttpClient`] on a runtime of its own, in the calling thread. Must not be used inside another runtime.
#[derive(Debug)]
pub struct BlockingHttp {
    // Dropped before the runtime on which its connection lives.
    client: HttpClient,
    runtime: Runtime,
}

impl BlockingHttp {
    /// Wraps a client.
    ///
    /// # Errors
    /// [`DialFault::Unreachable`] when the operating system gives no event queue.
    pub fn new(client: HttpClient) -> Result<Self, DialFault> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            DialFault::Unreachable { target: client.base().authority(), why: error.to_string() }
        })?;
        Ok(Self { client, runtime })
    }

    /// See [`HttpClient::send`].
    ///
    /// # Errors
    /// See [`HttpClient::send`].
    pub fn send(&mut self, request: Request) -> Result<Response, DialFault> {
        self.runtime.block_on(self.client.send(request))
    }

    /// See [`HttpClient::get_json`].
    ///
    /// # Errors
    /// Every [`DialFault`].
    pub fn get_json<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, DialFault> {
        self.runtime.block_on(self.client.get_json(path))
    }

    /// See [`HttpClient::post_json`].
    ///
    /// # Errors
    /// Every [`DialFault`].
    pub fn post_json<B: Serialize + ?Sized, T: DeserializeOwned>(
        &mut self,
        path: &str,
        value: &B,
    ) -> Result<T, DialFault> {
        self.send_json(Method::POST, path, value)
    }

    /// See [`HttpClient::send_json`].
    ///
    /// # Errors
    /// Every [`DialFault`].
    pub fn send_json<B: Serialize + ?Sized, T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        value: &B,
    ) -> Result<T, DialFault> {
        self.runtime.block_on(self.client.send_json(method, path, value))
    }
}
