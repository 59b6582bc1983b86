//! How often a request for a certificate asks the store, over EST, with a key in this process.

use super::upkeep_turns::shell_over;
use crate::http::{Peer, est_router};
use crate::tests::house::{DEVICE, House, request};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use touchmark_identity::Fingerprint;
use touchmark_inventory::CertificateState;
use touchmark_journal::{IdentityKind, TokenSubject};
use touchmark_testkit::name;
use touchmark_x509::{Certificate, KeyPlace};

struct Est {
    house: House,
    routes: TowerToHyperService<axum::Router>,
    _home: tempfile::TempDir,
}

impl Est {
    async fn new() -> Self {
        let house = House::keyed(KeyPlace::Inside).await;
        let home = tempfile::tempdir().unwrap();
        let (wired, _) = shell_over(&house, home.path());
        Self { house, routes: TowerToHyperService::new(est_router(wired.shell)), _home: home }
    }

    /// The status, and how many reads and commits it took.
    async fn asks(
        &self,
        path: &str,
        peer: Option<Fingerprint>,
        password: Option<&str>,
        csr: &[u8],
    ) -> (StatusCode, (u64, u64)) {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/pkcs10");
        if let Some(password) = password {
            let basic = STANDARD.encode(format!("{DEVICE}:{password}"));
            request = request.header(header::AUTHORIZATION, format!("Basic {basic}"));
        }
        let mut request = request.body(Body::from(STANDARD.encode(csr))).unwrap();
        request.extensions_mut().insert(Peer(peer));
        let before = self.house.store.asked();
        let response = self.routes.call(request).await.unwrap();
        let after = self.house.store.asked();
        let status = response.status();
        response.into_body().collect().await.unwrap();
        (status, (after.0 - before.0, after.1 - before.1))
    }

    async fn renews(&self, with: &Certificate) -> (StatusCode, (u64, u64)) {
        self.asks("/.well-known/est/simplereenroll", Some(with.fingerprint()), None, &request()).await
    }

    fn newest(&self) -> Certificate {
        let rows = self.house.rows(IdentityKind::Operational);
        let newest = rows.into_iter().max_by_key(|row| row.generation).unwrap();
        Certificate::from_der(&newest.der.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_certificate_takes_few_reads_and_one_commit() {
    let est = Est::new().await;
    let token = est.house.token(IdentityKind::Operational, TokenSubject::Named(name(DEVICE))).await;
    let password = token.password.expose().clone();
    let (status, asked) = est.asks("/.well-known/est/simpleenroll", None, Some(&password), &request()).await;
    assert_eq!((status, asked), (StatusCode::OK, (2, 1)), "a first enrolment");
    // Its key is proven by the renewal itself, which takes a commit and a second look.
    let first = est.newest();
    assert_eq!(est.renews(&first).await, (StatusCode::OK, (2, 2)), "a renewal of what was never used");
    let second = est.newest();
    let confirm = "/.well-known/touchmark/confirm";
    let empty = est.asks(confirm, Some(second.fingerprint()), None, &[]).await;
    // One is its own. The feed tells that the first is superseded, and reads what was recorded in three.
    assert_eq!(empty, (StatusCode::NO_CONTENT, (4, 1)), "a confirmation");
    assert_eq!(est.renews(&second).await, (StatusCode::OK, (1, 1)), "a renewal");
    let (status, (_, commits)) = est.renews(&first).await;
    assert_eq!((status, commits), (StatusCode::FORBIDDEN, 1), "a clone's: the alarm");
}

/// Whatever becomes of the request: the key was proven.
#[tokio::test]
async fn a_renewal_that_is_refused_confirms_its_certificate_all_the_same() {
    for (what, path, csr) in [
        ("no request", "/.well-known/est/simplereenroll", Vec::new()),
        ("another environment", "/.well-known/est/plant/simplereenroll", request()),
    ] {
        let est = Est::new().await;
        let first = est.house.first(IdentityKind::Operational).await;
        let (status, _) = est.asks(path, Some(first.fingerprint()), None, &csr).await;
        assert!(status.is_client_error(), "{what}: {status}");
        let state = est.house.row(&first.fingerprint()).state;
        assert_eq!(state, CertificateState::Confirmed, "{what}");
    }
}
