//! What became of an effect: the half of the state machine that changes what is held.
//!
//! In: the effect that was under way, and its outcome. Out: the next stage, or a pause and what is remembered of
//! the failure. An outcome of another effect than the one under way changes nothing.

use super::backoff::{DAY, Pause};
use super::record::{Failure, Renewed, says};
use super::standing::{Meaning, is_final, meaning};
use super::{
    Answer, Call, Chain, FirstProof, HookEvent, Input, Lifecycle, LocalFault, Pending, Stage, Standing,
    StateRecord, ThisLife, Trouble, Unfit, Wanted, Write,
};
use core::time::Duration;
use touchmark_enrol::RenewalHint;
use touchmark_x509::Certificate;

/// Alerts in answer to a new certificate after which it is given up: its server will not have it.
const CONFIRM_ALERTS_MAX: u32 = 8;

impl Lifecycle {
    pub(super) fn absorb(&mut self, input: Input) {
        match (core::mem::replace(&mut self.pending, Pending::Nothing), input) {
            (Pending::Write(Write::MakeSuccessor), Input::Made(successor)) => {
                self.stage = Stage::of(successor)
            }
            (Pending::Write(write), Input::Done) => self.written(&write),
            (Pending::Write(write), Input::Failed(fault)) => self.not_written(&write, &fault),
            (Pending::Call(call), Input::Answered { answer, .. }) => self.answered(call, answer),
            (Pending::Call(call), Input::Failed(fault)) => self.not_asked(call, &fault),
            (Pending::Hooks(event), Input::Done | Input::Failed(_)) => self.announced(event),
            // Woken, or an outcome that nobody waits for: what is due is asked for again.
            (Pending::Nothing | Pending::Write(_) | Pending::Call(_) | Pending::Hooks(_), _) => {}
        }
    }

    fn written(&mut self, write: &Write) {
        match (write, core::mem::replace(&mut self.stage, Stage::Absent)) {
            (Write::KeepSuccessor(kept), Stage::Delivered { chain }) if *kept == chain => {
                self.stage = Stage::Kept { chain, alerts: 0 };
            }
            (Write::Swap { key }, Stage::Confirmed { chain }) if *key == chain.key() => {
                self.taken_over(chain)
            }
            (Write::DropSuccessor, Stage::Abandoned) => {}
            (write, stage) => {
                self.stage = stage;
                match write {
                    Write::KeepState(record) => self.state_written(record),
                    Write::KeepAnchors(kept) => self.disk.anchors = *kept == self.anchors.to_vec(),
                    Write::MakeSuccessor
                    | Write::KeepSuccessor(_)
                    | Write::Swap { .. }
                    | Write::DropSuccessor => {}
                }
            }
        }
    }

    fn state_written(&mut self, record: &StateRecord) {
        let disk_was_full = |failure: &Failure| failure.code == LocalFault::DISK;
        if self.memory.failures == 0 && self.memory.failure.as_ref().is_some_and(disk_was_full) {
            self.memory.failure = None;
        }
        // Unless it changed since.
        self.disk.state = *record == self.memory;
        self.disk.floor = record.floor;
    }

    /// The new pair is in force. The commands are told, and remembered as told only afterwards.
    fn taken_over(&mut self, chain: Chain) {
        let now = self.watch.now();
        self.memory.renewed =
            Some(Renewed { at: now, by: self.renewed_by(), failures: self.memory.failures });
        self.memory.failures = 0;
        self.memory.failure = None;
        self.memory.retry_at = None;
        self.memory.standing = Standing::Good;
        self.current = Some(chain);
        (self.wished, self.replaced) = (false, false);
        self.proof_refused = false;
        self.this_life = ThisLife::begin(now.plus(self.hint_after(None)));
        self.hooks.push_back(HookEvent::Renewed);
        self.disk.state = false;
    }

    fn announced(&mut self, event: HookEvent) {
        self.hooks.pop_front();
        if event == HookEvent::Renewed {
            self.memory.announced = self.current_fingerprint();
            self.disk.state = false;
        }
    }

    fn not_written(&mut self, write: &Write, fault: &LocalFault) {
        match write {
            Write::KeepState(_) | Write::KeepAnchors(_) => {
                let now = self.watch.now();
                self.disk.not_before = now.plus(self.pause_bounds().pause(Pause::Backoff, 1, self.seed, now));
                self.note(fault.code(), fault.says());
            }
            Write::MakeSuccessor | Write::KeepSuccessor(_) | Write::Swap { .. } | Write::DropSuccessor => {
                if matches!(fault, LocalFault::Gone { .. }) {
                    self.start_over();
                }
                self.fail(Pause::Backoff, fault.code(), fault.says());
            }
        }
    }

    fn not_asked(&mut self, call: Call, fault: &LocalFault) {
        match (call, fault) {
            (Call::Hint, _) => self.ask_for_the_window_later(None),
            (Call::Enrol { .. }, LocalFault::NoProof { .. }) => {
                self.refuse_proof();
                self.fail(self.until_there_is_proof(), fault.code(), fault.says());
            }
            (Call::Anchors, _) => self.fail(Pause::Backoff, fault.code(), fault.says()),
            (Call::Enrol { .. } | Call::Renew | Call::Confirm, _) => {
                self.start_over();
                self.fail(Pause::Backoff, fault.code(), fault.says());
            }
        }
    }

    /// Back to the first step, which takes up what is whole of the successor's files, and makes the rest anew.
    fn start_over(&mut self) {
        self.stage = Stage::Absent;
    }

    fn answered(&mut self, call: Call, answer: Answer) {
        match (call, answer) {
            (Call::Enrol { .. } | Call::Renew, Answer::Certificates { certificates, hint }) => {
                self.delivered(&certificates, hint);
            }
            (Call::Anchors, Answer::Anchors { certificates }) => self.offered(&certificates),
            (Call::Confirm, Answer::Confirmed) => self.confirmed(),
            (Call::Hint, Answer::Hint(hint)) => self.hinted(hint),
            (call, Answer::Refused { status, code, says, retry_after }) => {
                self.refused(call, status, &code, &says, retry_after);
            }
            (call, Answer::Unreachable { why, says }) => self.unreachable(call, why, &says),
            (
                call,
                Answer::Certificates { .. } | Answer::Anchors { .. } | Answer::Confirmed | Answer::Hint(_),
            ) => self.unreachable(call, Trouble::Protocol, "the answer belongs to another question"),
        }
    }

    fn delivered(&mut self, certificates: &[Certificate], hint: Option<RenewalHint>) {
        let Stage::Requested { key } = self.stage else { return };
        let identity = self.current.as_ref().and_then(|chain| chain.leaf().spiffe_id().ok());
        let anchors = self.anchors.to_vec();
        let wanted = Wanted {
            key,
            name: &self.rules.identity,
            identity: identity.as_ref(),
            anchors: &anchors,
            now: self.watch.now(),
            floor: self.watch.floor(),
        };
        // An answer holds the one certificate (RFC 7030 §4.2.3); what is above it came with `cacerts`, stands above the
        // current one, or is pinned.
        let current = self.current.iter().flat_map(|chain| chain.certificates().skip(1));
        let known = self.this_life.authorities.iter().chain(current).chain(&anchors);
        let all: Vec<_> = certificates.iter().chain(known).cloned().collect();
        match Chain::accept(&all, &wanted) {
            Ok(chain) => {
                let leaf = chain.leaf();
                self.memory.hint = hint.map(|hint| (leaf.fingerprint(), hint.window));
                self.raise_floor(leaf.validity().not_before());
                self.stage = Stage::Delivered { chain };
            }
            Err(unfit) => self.unfit(&unfit),
        }
    }

    fn unfit(&mut self, unfit: &Unfit) {
        if unfit.is_of_the_leaf() {
            self.stage = Stage::Abandoned;
        }
        if matches!(unfit, Unfit::Path(_)) {
            // The root may have changed since it was asked for.
            self.this_life.anchors_asked = false;
        }
        self.fail(Pause::Backoff, unfit.code(), &unfit.to_string());
    }

    fn offered(&mut self, certificates: &[Certificate]) {
        self.this_life.anchors_asked = true;
        self.this_life.authorities = certificates.iter().filter(|one| one.is_ca()).cloned().collect();
        if self.anchors.follow(certificates, self.watch.now()) {
            self.memory.followed = self.anchors.words().to_vec();
            (self.disk.state, self.disk.anchors) = (false, false);
        }
    }

    fn confirmed(&mut self) {
        match core::mem::replace(&mut self.stage, Stage::Absent) {
            Stage::Kept { chain, .. } => self.stage = Stage::Confirmed { chain },
            other => self.stage = other,
        }
    }

    fn hinted(&mut self, hint: RenewalHint) {
        let hinted = self.current_fingerprint().map(|current| (current, hint.window));
        self.disk.state &= self.memory.hint == hinted;
        self.memory.hint = hinted;
        self.ask_for_the_window_later(hint.retry_after);
    }

    fn ask_for_the_window_later(&mut self, wanted: Option<Duration>) {
        self.this_life.next_hint_at = self.watch.now().plus(self.hint_after(wanted));
    }

    fn refused(&mut self, call: Call, status: u16, code: &str, words: &str, retry_after: Option<Duration>) {
        match call {
            Call::Anchors => {
                // The pinned anchors will do.
                self.this_life.anchors_asked = true;
                return;
            }
            Call::Hint => {
                // Some servers plan nothing.
                self.this_life.hints_offered = !matches!(status, 404 | 405 | 501);
                self.ask_for_the_window_later(retry_after);
                // The first to hear of a revocation may be this question.
                if meaning(call, status, code) == Meaning::Lost {
                    self.stand(Standing::Lost { code: says(code) });
                    self.note(code, words);
                }
                return;
            }
            Call::Enrol { .. } | Call::Renew | Call::Confirm => {}
        }
        let published = if code.is_empty() { format!("http-{status}") } else { says(code) };
        let pause = match meaning(call, status, code) {
            Meaning::Later => {
                // "At once" is no plan.
                retry_after.filter(|wait| !wait.is_zero()).map_or(Pause::Backoff, Pause::RetryAfter)
            }
            Meaning::OtherRequest => {
                self.stage = Stage::Abandoned;
                Pause::Backoff
            }
            Meaning::ProofRefused => {
                self.refuse_proof();
                // A maker's certificate that is unknown today may be registered tomorrow.
                let by_token = call == Call::Enrol { proof: FirstProof::Token };
                if by_token { self.until_there_is_proof() } else { Pause::Longest }
            }
            Meaning::Lost => {
                self.stand(Standing::Lost { code: published.clone() });
                if self.asks_for_a_first_certificate() { Pause::Backoff } else { self.until_there_is_proof() }
            }
            Meaning::Quarantined => {
                self.stand(Standing::Quarantined);
                Pause::Longest
            }
            Meaning::Banned => {
                self.stand(Standing::Banned);
                Pause::Day
            }
        };
        self.fail(pause, &published, words);
    }

    fn unreachable(&mut self, call: Call, why: Trouble, words: &str) {
        match (call, why) {
            (Call::Hint, _) => return self.ask_for_the_window_later(None),
            (Call::Anchors, _) => {
                // A server that cannot tell its anchors may still renew; the time it must tell again.
                let only_for_the_time = matches!(self.stage, Stage::Absent) && !self.is_due(self.watch.now());
                self.this_life.anchors_asked = !only_for_the_time;
            }
            (Call::Confirm, Trouble::TlsAlert(_)) => self.alerted(),
            (Call::Renew, Trouble::TlsAlert(_)) if self.is_expired() => {
                self.stand(Standing::Lost { code: "certificate-expired".to_owned() });
            }
            (Call::Enrol { .. } | Call::Renew | Call::Confirm, _) => {}
        }
        self.fail(Pause::Backoff, why.code(), words);
    }

    fn alerted(&mut self) {
        if let Stage::Kept { alerts, .. } = &mut self.stage {
            *alerts += 1;
            if *alerts >= CONFIRM_ALERTS_MAX {
                self.stage = Stage::Abandoned;
            }
        }
    }

    fn is_expired(&self) -> bool {
        let now = self.watch.now();
        self.current.as_ref().is_some_and(|chain| chain.leaf().validity().not_after() < now)
    }

    /// A pair that has not ended, and was refused for no reason that lasts, may be taken again before it ends.
    fn until_there_is_proof(&self) -> Pause {
        let lasts = match &self.memory.standing {
            Standing::Lost { code } => is_final(code),
            Standing::Good | Standing::Quarantined | Standing::Banned => true,
        };
        if lasts || self.current.is_none() || self.is_expired() { Pause::ForAPerson } else { Pause::Longest }
    }

    fn refuse_proof(&mut self) {
        if !self.proof_refused {
            self.hooks.push_back(HookEvent::Refused);
        }
        self.proof_refused = true;
    }

    fn stand(&mut self, standing: Standing) {
        if self.memory.standing != standing {
            self.hooks.push_back(HookEvent::Refused);
        }
        self.memory.standing = standing;
    }

    fn fail(&mut self, pause: Pause, code: &str, words: &str) {
        let now = self.watch.now();
        self.memory.failures = self.memory.failures.saturating_add(1);
        let pause = self.pause_bounds().pause(pause, self.memory.failures, self.seed, now);
        self.memory.retry_at = Some(now.plus(pause.min(DAY * 2)));
        self.note(code, words);
    }

    fn note(&mut self, code: &str, words: &str) {
        let (code, says) = (code.to_owned(), says(words));
        self.memory.failure = Some(Failure { at: self.watch.now(), code, says });
        self.disk.state = false;
    }
}
