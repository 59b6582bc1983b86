//! What makes a count of certificates believable: the inventory knows each, openssl accepts them, the journal covers
//! them and the audit of everything is green.

use super::Bench;
use crate::fault::{Outcome, While as _};
use crate::generate::{FetchJob, Generator, Job};
use crate::process::program;
use crate::stock;
use std::process::{Command, Stdio};
use std::time::Instant;
use touchmark_x509::Certificate;

/// Certificates that openssl is asked about.
const SAMPLE: usize = 400;

impl Bench {
    /// Every identity in the file is found in the authority by its certificate; openssl verifies a sample.
    pub(super) fn every_certificate_is_kept(&mut self, file: &std::path::Path) -> Outcome<()> {
        let enrolled = stock::read(file, 0, usize::MAX)?;
        let mut paths = String::new();
        for identity in &enrolled {
            let leaf = identity.chain.first().while_("an identity without a certificate")?;
            let fingerprint = Certificate::from_der(leaf)?.fingerprint();
            paths += &format!("/v1/certificates/{fingerprint} \"{fingerprint}\"\n");
        }
        let list = self.product.path("paths");
        std::fs::write(&list, paths)?;
        let job = Job::Fetch(FetchJob {
            target: self.target(&self.product.api_address()?),
            identity: self.product.operator_stock()?,
            paths: list,
            connections: 8,
            expect: true,
        });
        let found = Generator::start(&job, self.product.folder())?.run()?.completed;
        if found != enrolled.len() as u64 {
            return Err(format!("{found} of {} certificates are in the inventory", enrolled.len()).into());
        }
        let verified = self.openssl_verifies(&enrolled)?;
        let note = format!("each by its fingerprint; openssl verify accepts {verified} of them");
        self.table.tell("certificates of this run found in the authority", "", &[found as f64], note);
        Ok(())
    }

    fn openssl_verifies(&self, enrolled: &[stock::Identity]) -> Outcome<usize> {
        let openssl = program("openssl").while_("openssl is not installed")?;
        let folder = self.product.path("sample");
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(openssl);
        command.args(["verify", "-purpose", "sslclient", "-CAfile"]).arg(self.product.path("root.pem"));
        command.arg("-untrusted").arg(self.product.path("issuing.pem"));
        let mut asked = 0;
        for (n, identity) in enrolled.iter().enumerate().step_by(enrolled.len().div_ceil(SAMPLE).max(1)) {
            let leaf = identity.chain.first().while_("an identity without a certificate")?;
            let path = folder.join(format!("{n}.pem"));
            std::fs::write(&path, Certificate::from_der(leaf)?.to_pem())?;
            command.arg(path);
            asked += 1;
        }
        let output = command.stdin(Stdio::null()).output()?;
        let good =
            String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.ends_with(": OK")).count();
        if good == asked { Ok(good) } else { Err(format!("openssl verifies {good} of {asked}").into()) }
    }

    /// The audit of journal, rows and decision logs, over everything that the run did.
    pub(crate) fn audit(&mut self) {
        let since = Instant::now();
        self.table.section("the whole run");
        match self.product.audit() {
            Ok(outcome) => {
                let of =
                    |name: &str| outcome.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
                let decisions: u64 = outcome
                    .get("gateways")
                    .and_then(|all| all.as_array())
                    .into_iter()
                    .flatten()
                    .filter_map(|one| one.get("decisions").and_then(serde_json::Value::as_u64))
                    .sum();
                let note = format!(
                    "green: {} entries and {} rows agree, {decisions} decisions without a gap",
                    of("entries"),
                    of("rows")
                );
                self.table.tell("audit verify", "s", &[since.elapsed().as_secs_f64()], note);
            }
            Err(fault) => self.table.fail("audit verify", &fault),
        }
    }
}
