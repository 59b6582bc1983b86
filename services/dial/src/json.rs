//! JSON over [`HttpClient`]: a value in, a value out, refusals as [`DialFault::Status`].

use crate::{DialFault, HttpClient, Method, Request, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

impl Response {
    /// Reads the body as JSON; an empty body reads as `null`, so `()` and `Option` take a 204.
    ///
    /// # Errors
    /// [`DialFault::Status`] unless the status is 2xx, [`DialFault::Unexpected`] when the body is another shape.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, DialFault> {
        let body = self.ok()?.body;
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(text).map_err(|error| DialFault::Unexpected { why: error.to_string() })
    }
}

impl Request {
    /// With this value as its JSON body.
    ///
    /// # Errors
    /// [`DialFault::BadRequest`] when the value has no JSON form (a map with keys that are no text).
    pub fn json<B: Serialize + ?Sized>(self, value: &B) -> Result<Self, DialFault> {
        let body = serde_json::to_vec(value)
            .map_err(|_| DialFault::BadRequest { why: "the value has no form in JSON" })?;
        self.body(body).header("content-type", "application/json")
    }
}

impl HttpClient {
    /// GET, answered in JSON.
    ///
    /// # Errors
    /// Every [`DialFault`].
    pub async fn get_json<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, DialFault> {
        let request = Request::get(path).header("accept", "application/json")?;
        self.send(request).await?.json()
    }

    /// POST of a JSON value, answered in JSON.
    ///
    /// # Errors
    /// Every [`DialFault`].
    pub async fn post_json<B: Serialize + ?Sized, T: DeserializeOwned>(
        &mut self,
        path: &str,
        value: &B,
    ) -> Result<T, DialFault> {
        self.send_json(Method::POST, path, value).await
    }

    /// Any method with a JSON value, answered in JSON.
    ///
    /// # Errors
    /// Every [`DialFault`].
    pub async fn send_json<B: Serialize + ?Sized, T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        value: &B,
    ) -> Result<T, DialFault> {
        let request = Request::new(method, path).json(value)?.header("accept", "application/json")?;
        self.send(request).await?.json()
    }
}
