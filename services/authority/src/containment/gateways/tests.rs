//! Who is a gateway still, once the authority accepts it no more; and what a declared absence is worth.

use super::*;
use crate::operators::reading::Read;
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::{DEVICE, House};
use touchmark_identity::RevocationReason;
use touchmark_inventory::Store as _;
use touchmark_journal::{Reach, Scope};
use touchmark_ra::RevokeParty;
use touchmark_ra::SuccessorPlan;
use touchmark_testkit::name;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// What a gateway did in this run of the authority.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Polls {
    Never,
    Accepted,
    Refused,
    CutOff,
}

struct Place {
    house: House,
    home: tempfile::TempDir,
    gateways: Arc<Gateways>,
    certificate: Fingerprint,
}

impl Place {
    async fn new() -> Self {
        let house = House::with(SuccessorPlan::default()).await;
        let home = tempfile::tempdir().unwrap();
        let gateways = house.gateways(home.path());
        let certificate = house.first(IdentityKind::Service).await.fingerprint();
        house.issuance.confirm(&certificate, None, "test").await.unwrap();
        // Its decision log came in an earlier run.
        std::fs::create_dir_all(home.path().join("decisions").join(DEVICE)).unwrap();
        Self { house, home, gateways, certificate }
    }

    async fn revoke(&self) {
        let party = self.house.store.parties().unwrap().into_iter();
        let party = party.into_iter().find(|party| party.name.as_str() == DEVICE).unwrap();
        let mandate = bootstrapped(RevokeParty { party, reason: RevocationReason::KeyCompromise });
        let containments = self.house.containments(self.home.path());
        containments.revoke_party(mandate, false, Duration::ZERO).await.unwrap();
    }

    async fn polls(&self, polls: Polls) {
        let feed = self.house.feeds.of(&name("lab")).unwrap();
        let gateway = Caller {
            kind: IdentityKind::Service,
            name: name(DEVICE),
            roles: Vec::new(),
            environment: name("lab"),
            reach: Reach::Environment,
        };
        match polls {
            Polls::Never => {}
            Polls::Accepted => self.gateways.asked(&feed, &gateway, None).await,
            Polls::Refused | Polls::CutOff => {
                self.gateways.refused(&self.certificate, polls == Polls::CutOff).await;
            }
        }
    }

    fn standing(&self) -> Option<GatewayStanding> {
        let all = self.gateways.list(&bootstrapped(Read::all_of(name("lab")))).unwrap();
        all.into_iter().find(|one| one.name.as_str() == DEVICE).and_then(|one| one.standing.known().copied())
    }

    async fn enforced(&self, wait: Duration) -> Option<(EnforcementState, bool)> {
        let before = self.gateways.before(&name("lab")).unwrap();
        let enforced = self.gateways.enforced(&before, Instant::now(), wait).await.unwrap();
        enforced
            .gateways
            .into_iter()
            .find(|one| one.name.as_str() == DEVICE)
            .and_then(|one| Some((*one.state.known()?, one.refused)))
    }

    async fn declare(&self, declaration: Declaration, although: bool) -> Result<(), GatewaysFault> {
        let scope = Scope { organisation: name("example"), environment: Some(name("lab")) };
        let act = DeclareGateway { scope, gateway: name(DEVICE), declaration };
        self.gateways.declare(bootstrapped(act), although).await
    }
}

#[tokio::test]
async fn a_gateway_that_may_still_serve_is_one_though_its_certificates_are_dead() {
    use EnforcementState as State;
    use GatewayStanding as Standing;
    let rows = [
        ("accepted", false, Polls::Accepted, None, Some((Standing::Late, State::Late, false))),
        ("accepted, silent", false, Polls::Never, None, Some((Standing::Unknown, State::Unknown, false))),
        ("revoked, not seen", true, Polls::Never, None, Some((Standing::Refused, State::Unknown, true))),
        ("revoked, asked", true, Polls::Accepted, None, Some((Standing::Refused, State::Unknown, true))),
        (
            "revoked, asks in vain",
            true,
            Polls::Refused,
            None,
            Some((Standing::Refused, State::Unknown, true)),
        ),
        ("revoked, says so", true, Polls::CutOff, None, Some((Standing::CutOff, State::CutOff, true))),
        (
            "revoked, until then",
            true,
            Polls::Never,
            Some(HOUR),
            Some((Standing::Refused, State::Unknown, true)),
        ),
        ("revoked, a day after its end", true, Polls::Never, Some(DAY), None),
        ("ended", false, Polls::Never, Some(HOUR), Some((Standing::Refused, State::Unknown, true))),
        ("ended, a day ago", false, Polls::Never, Some(DAY), None),
        (
            "ended, and asks",
            false,
            Polls::Refused,
            Some(DAY),
            Some((Standing::Refused, State::Unknown, true)),
        ),
        ("ended, says so", false, Polls::CutOff, Some(DAY), Some((Standing::CutOff, State::CutOff, true))),
        // Somebody with a revoked key of it, while another certificate of it is good.
        ("accepted, though", false, Polls::CutOff, None, Some((Standing::Late, State::Late, false))),
    ];
    for (what, revoked, polls, after_its_end, expected) in rows {
        let place = Place::new().await;
        if polls == Polls::Accepted {
            place.polls(polls).await;
        }
        if revoked {
            place.revoke().await;
        }
        if let Some(after) = after_its_end {
            let end = place.house.row(&place.certificate).validity.not_after();
            place.house.pass(end.since(place.house.clock.now()) + after);
        }
        if polls != Polls::Accepted {
            place.polls(polls).await;
        }
        let enforced = place.enforced(Duration::ZERO).await;
        assert_eq!(enforced, expected.map(|(_, state, refused)| (state, refused)), "{what}");
        assert_eq!(place.standing(), expected.map(|(standing, ..)| standing), "{what}");
    }
}

/// A gateway that is refused and one that never answers again end the wait at once and after its time.
#[tokio::test]
async fn the_wait_ends_with_the_word_that_it_serves_nobody() {
    let place = Place::new().await;
    place.polls(Polls::Accepted).await;
    place.revoke().await;
    let long = Duration::from_secs(600);
    let says = async {
        place.polls(Polls::Refused).await;
        tokio::task::yield_now().await;
        place.polls(Polls::CutOff).await;
    };
    let ((), enforced) = tokio::join!(says, place.enforced(long));
    assert_eq!(enforced, Some((EnforcementState::CutOff, true)));
    // Not waited for: it has nothing more to say.
    assert_eq!(place.enforced(long).await, Some((EnforcementState::CutOff, true)));
    // Let in again, it is one that is behind.
    let again = place.house.first(IdentityKind::Service).await.fingerprint();
    place.house.issuance.confirm(&again, None, "test").await.unwrap();
    place.polls(Polls::Accepted).await;
    assert_eq!(place.standing(), Some(GatewayStanding::Late));
}

#[tokio::test]
async fn a_declared_absence_needs_silence_or_a_word_and_ends_with_the_next_poll() {
    let place = Place::new().await;
    let offline = Declaration::Offline(None);
    // Not heard of: it is taken at its word.
    place.declare(offline, false).await.unwrap();
    assert_eq!(place.standing(), Some(GatewayStanding::Offline));
    let entries = place.house.store.journal_len().unwrap();
    place.polls(Polls::Accepted).await;
    assert_eq!(place.standing(), Some(GatewayStanding::Late), "it asked");
    assert_eq!(place.house.store.journal_len().unwrap(), entries + 1, "in the journal");
    place.polls(Polls::Accepted).await;
    assert_eq!(place.house.store.journal_len().unwrap(), entries + 1, "once");

    let refused = place.declare(offline, false).await.unwrap_err();
    let GatewaysFault::Asks { ago, .. } = &refused else { panic!("{refused}") };
    assert!(*ago < Duration::from_secs(30), "{refused}");
    assert_eq!(place.standing(), Some(GatewayStanding::Late));
    // At the operator's own word it is in force at once, and nobody waits for it.
    place.declare(offline, true).await.unwrap();
    assert_eq!(place.enforced(Duration::from_secs(600)).await, Some((EnforcementState::Offline, false)));
    place.declare(Declaration::Offline(Some(place.house.clock.now().plus(HOUR))), false).await.unwrap();
    place.polls(Polls::Accepted).await;
    assert_eq!(place.standing(), Some(GatewayStanding::Late), "it was not true");

    // An absence that ended by itself leaves nothing to record.
    place.declare(Declaration::Offline(Some(place.house.clock.now().plus(HOUR))), true).await.unwrap();
    place.house.clock_goes(HOUR + Duration::from_secs(1));
    let entries = place.house.store.journal_len().unwrap();
    place.polls(Polls::Accepted).await;
    assert_eq!(place.house.store.journal_len().unwrap(), entries);

    // One that is refused: what it said before it was counts for nothing, what it asks since does.
    place.revoke().await;
    place.declare(offline, false).await.unwrap();
    assert_eq!(place.enforced(Duration::from_secs(600)).await, Some((EnforcementState::Offline, true)));
    place.polls(Polls::Refused).await;
    assert_eq!(place.standing(), Some(GatewayStanding::Refused), "something asks by its name");
    assert!(matches!(place.declare(offline, false).await, Err(GatewaysFault::Asks { .. })));
    place.polls(Polls::CutOff).await;
    place.declare(offline, false).await.unwrap();
    assert_eq!(place.standing(), Some(GatewayStanding::CutOff));
}

/// What a gateway had in force before a change is not the change: it is waited for, and counts when it says so.
#[tokio::test]
async fn a_position_before_the_change_is_not_in_force() {
    let place = Place::new().await;
    place.polls(Polls::Accepted).await;
    let feed = place.house.feeds.of(&name("lab")).unwrap();
    let says = |position, sessions_closed| {
        let at = place.house.clock.now();
        feed.acknowledge(&name(DEVICE), position, at, sessions_closed).expect("a position of this feed")
    };
    let before = feed.position();
    says(before, 3);
    assert_eq!(place.enforced(Duration::ZERO).await, Some((EnforcementState::Applied, false)));
    let held = place.gateways.before(&name("lab")).unwrap();
    place.house.first(IdentityKind::Operational).await;
    place.house.contain(touchmark_ra::Verb::Revoke(RevocationReason::KeyCompromise)).await;
    let after = feed.position();
    assert!(after > before);
    let earlier_epoch = Position { epoch: after.epoch - 1, seq: after.seq + 9 };
    let rows = [
        ("nothing", None, EnforcementState::Late, 0),
        ("what it had", Some((before, 5)), EnforcementState::Late, 0),
        ("what was there before the restart", Some((earlier_epoch, 5)), EnforcementState::Late, 0),
        ("the change", Some((after, 2)), EnforcementState::Applied, 12),
    ];
    for (what, said, state, closed) in rows {
        if let Some((position, closed)) = said {
            says(position, closed);
        }
        let enforced = place.gateways.enforced(&held, Instant::now(), Duration::ZERO).await.unwrap();
        let one = enforced.gateways.iter().find(|one| one.name.as_str() == DEVICE).unwrap();
        assert_eq!((one.state.clone(), enforced.sessions_closed), (state.into(), closed), "{what}");
        let in_force = state == EnforcementState::Applied;
        assert_eq!((one.applied_at.is_some(), one.applied_ms.is_some()), (in_force, in_force), "{what}");
    }
    // The wait goes on over an old position, and ends with the new one.
    place.house.contain(touchmark_ra::Verb::Ban(RevocationReason::KeyCompromise)).await;
    let now = feed.position();
    let word = async {
        tokio::task::yield_now().await;
        says(after, 0);
        tokio::task::yield_now().await;
        says(now, 0)
    };
    let (_, enforced) = tokio::join!(word, place.enforced(Duration::from_secs(600)));
    assert_eq!(enforced, Some((EnforcementState::Applied, false)));
}
