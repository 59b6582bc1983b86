//! A gateway whose feed holds a large revoked set.
//!
//! A million certificates are not issued and revoked for it: the benchmark takes the real feed (anchors, policy),
//! adds revocations of serials that nobody has, and signs the snapshot with a key of its own, which this gateway is
//! given as its feed key. Bytes, verification, set and every handshake are those of the product.

use super::Bench;
use crate::fault::Outcome;
use crate::product::{ENVIRONMENT, Gateway};
use touchmark_identity::{
    AuthorityVersionId, EnvironmentName, Incarnation, RevocationReason, SerialNumber, Timestamp,
};
use touchmark_status::{
    AnchorRole, Change, FeedSigner, FeedVerifier, FeedWriter, Revocation, feed_file_entry, open_feed_file,
};

/// Changes in one message while the state is built.
const TOGETHER: u32 = 100_000;
/// Higher than any epoch of the authority in one run: nothing of it is newer.
const EPOCH: u64 = 1 << 40;

impl Bench {
    /// Starts one; its first feed is read from its disk.
    pub(super) fn gateway_with_revoked(&self, revoked: u32) -> Outcome<Gateway> {
        let environment: EnvironmentName = ENVIRONMENT.parse()?;
        let real = self.product.gateway_files("gateway-01");
        let key: [u8; 32] = hex::decode(std::fs::read_to_string(real.join("feed.key"))?.trim())?
            .try_into()
            .map_err(|_| "the feed's key has another length")?;
        let octets = std::fs::read(self.gateway.state.join("feed"))?;
        let set = open_feed_file(&octets, &FeedVerifier::new(key), &environment, None, Timestamp::MAX)?;
        let now = set.issued_at();
        let anchors = set.state().anchors().to_vec();
        let version = anchors.iter().find(|anchor| anchor.role == AnchorRole::Issuing);
        let version = version.ok_or("the feed names no issuing authority")?.authority_version;

        let signer = FeedSigner::from_seed(&[0x42; 32])?;
        let mut writer = FeedWriter::new(environment, set.trust_domain().clone(), EPOCH);
        let policy = set.state().policies().cloned().ok_or("the feed has no policy")?;
        writer.publish(vec![Change::Anchors(anchors), Change::Policies(policy)], now, &signer)?;
        for first in (0..revoked).step_by(TOGETHER as usize) {
            let until = revoked.min(first + TOGETHER);
            writer.publish((first..until).map(|n| revoke(version, n, now)).collect(), now, &signer)?;
        }
        let snapshot = writer.snapshot(now, &signer)?;

        let name = format!("gateway-r{revoked}");
        let files = self.product.gateway_files(&name);
        std::fs::create_dir_all(files.join("state"))?;
        std::fs::write(files.join("feed.key"), hex::encode(signer.verifier().as_bytes()))?;
        std::fs::write(files.join("state/feed"), feed_file_entry(&snapshot)?)?;
        self.product.gateway(&name, &["--staleness", "life-safety"])
    }
}

fn revoke(authority_version: AuthorityVersionId, n: u32, now: Timestamp) -> Change {
    let mut random = [0x55; 16];
    // Spread as random serials are; odd, so that no two are alike.
    let spread = n.wrapping_mul(0x9e37_79b1);
    for (to, from) in random.iter_mut().zip(spread.to_be_bytes().into_iter().chain(n.to_le_bytes())) {
        *to = from;
    }
    let serial = SerialNumber::draw(Incarnation::FIRST, random);
    let revocation =
        Revocation { at: now, reason: RevocationReason::KeyCompromise, not_after: Timestamp::MAX };
    Change::Revoke { authority_version, serial, revocation }
}
