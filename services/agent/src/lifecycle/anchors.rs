//! Trust anchors: the pinned ones, and those that a signed roll-over brought (RFC 7030 §4.1.3, RFC 4210 §4.4).
//!
//! In: pinned anchors, what was kept, what `cacerts` offers. Out: the anchors in force. A new root is followed only
//! if an anchor in force signed for its name and key; the channel it came through vouches for nothing.

use super::record::Followed;
use touchmark_identity::Timestamp;
use touchmark_x509::Certificate;
use touchmark_x509::certificate::KEY_CERT_SIGN;

/// Most anchors in force, unless so many are pinned: two generations of a root and of its spare. Pins are counted, and
/// never given up.
pub const ANCHORS_MAX: usize = 4;
/// Pins leave room for so many at least: a root that changes must not end a device that pins much.
const FOLLOWED_MIN: usize = 2;

/// The anchors in force.
#[derive(Clone, Debug)]
pub(super) struct Anchors {
    pinned: Vec<Certificate>,
    followed: Vec<Certificate>,
    words: Vec<Followed>,
}

impl Anchors {
    /// Takes up what was kept. An anchor is in force only while the one that vouched for it is: whoever takes a pin
    /// out of the configuration takes out everything that was followed on its word.
    pub(super) fn restore(pinned: Vec<Certificate>, kept: &[Certificate], words: &[Followed]) -> Self {
        let mut anchors = Self { pinned, followed: Vec::new(), words: Vec::new() };
        // Each round takes up at least one, or is the last.
        while anchors.room() {
            let next = words.iter().find_map(|word| {
                let vouched = anchors.in_force().any(|anchor| anchor.fingerprint() == word.on_word_of);
                let new = anchors.in_force().all(|anchor| anchor.fingerprint() != word.anchor);
                let kept = kept.iter().find(|anchor| anchor.fingerprint() == word.anchor)?;
                (vouched && new).then(|| (kept.clone(), *word))
            });
            let Some((anchor, word)) = next else { break };
            anchors.followed.push(anchor);
            anchors.words.push(word);
        }
        anchors
    }

    /// All of them, the pinned ones first.
    pub(super) fn in_force(&self) -> impl Iterator<Item = &Certificate> {
        self.pinned.iter().chain(&self.followed)
    }

    /// As a list, for paths and files.
    pub(super) fn to_vec(&self) -> Vec<Certificate> {
        self.in_force().cloned().collect()
    }

    /// On whose word each one was followed.
    pub(super) fn words(&self) -> &[Followed] {
        &self.words
    }

    /// Follows the new roots among `offered` for which an anchor in force signed; says whether there was one.
    pub(super) fn follow(&mut self, offered: &[Certificate], now: Timestamp) -> bool {
        let mut changed = false;
        for root in offered.iter().filter(|root| is_root(root, now)) {
            if self.in_force().any(|anchor| same_authority(anchor, root)) {
                continue;
            }
            let Some(voucher) = self.voucher(root, offered, now) else { continue };
            let word = Followed { anchor: root.fingerprint(), on_word_of: voucher.fingerprint() };
            if !self.room() {
                self.drop_expired(now);
            }
            if self.room() {
                self.followed.push(root.clone());
                self.words.push(word);
                changed = true;
            }
        }
        changed
    }

    /// The anchor in force that signed for the name and key of `root`, in a certificate among `offered`.
    fn voucher(&self, root: &Certificate, offered: &[Certificate], now: Timestamp) -> Option<&Certificate> {
        let links = offered.iter().filter(|link| {
            same_authority(link, root)
                && is_authority(link, now)
                // A root knows no limits: what was signed for with limits is not followed.
                && !link.has_name_constraints()
                && link.extended_key_usages().is_none()
                && link.path_len().is_none_or(|most| root.path_len().is_some_and(|root| root <= most))
        });
        links.into_iter().find_map(|link| {
            self.in_force().find(|anchor| {
                anchor.validity().contains(now)
                    && (anchor.path_len() != Some(0) || link.is_self_issued())
                    && signed(anchor, link)
            })
        })
    }

    fn room(&self) -> bool {
        self.followed.len() < ANCHORS_MAX.saturating_sub(self.pinned.len()).max(FOLLOWED_MIN)
    }

    /// An expired anchor goes only when another remains. Whom it vouched for is from then on followed on the word
    /// of the one that vouched for it.
    fn drop_expired(&mut self, now: Timestamp) {
        let alive = |anchor: &Certificate| anchor.validity().not_after() >= now;
        if !self.in_force().any(alive) {
            return;
        }
        let (kept, gone): (Vec<_>, Vec<_>) = self.followed.drain(..).partition(alive);
        self.followed = kept;
        for gone in gone {
            let is_gone = |word: &Followed| word.anchor == gone.fingerprint();
            let Some(at) = self.words.iter().position(is_gone) else { continue };
            let Followed { on_word_of, .. } = self.words.remove(at);
            for word in self.words.iter_mut().filter(|word| word.on_word_of == gone.fingerprint()) {
                word.on_word_of = on_word_of;
            }
        }
    }
}

fn is_root(root: &Certificate, now: Timestamp) -> bool {
    root.is_self_issued() && is_authority(root, now) && signed(root, root)
}

fn is_authority(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.is_ca()
        && certificate.key_usage().is_some_and(|usage| usage & KEY_CERT_SIGN != 0)
        && certificate.unknown_critical().is_empty()
        && certificate.validity().contains(now)
}

fn same_authority(a: &Certificate, b: &Certificate) -> bool {
    a.subject_der() == b.subject_der() && a.public_key() == b.public_key()
}

fn signed(issuer: &Certificate, certificate: &Certificate) -> bool {
    issuer.subject_der() == certificate.issuer_der()
        && issuer
            .public_key()
            .verify(certificate.signature_algorithm(), certificate.tbs_der(), certificate.signature())
            .is_ok()
}
