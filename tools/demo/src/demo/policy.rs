//! A careless policy, for the sabotage of one step, and the good one back afterwards.

use crate::demo::arrivals::environment;
use crate::demo::installation::Installation;
use touchmark_api::{Policy, PolicyDocument};
use touchmark_touchmark::failure::Failure;
use touchmark_touchmark::management::policy_path;

/// It names what it opens, so the linter lets it pass: whether that is wise is for people to say.
const CARELESS_RULE: &str = "@id(\"careless\")\npermit (principal, action == Action::\"publish\", resource in Topics::\"everything\");\n";
const CARELESS_TOPICS: &str = "[topics]\neverything = \"plant/#\"";

/// What was in force before.
pub(crate) struct Restore(PolicyDocument);

pub(crate) async fn everybody_everywhere(installation: &Installation) -> Result<Restore, Failure> {
    let held: Policy = installation.management()?.get(&policy_path(environment()), &()).await?;
    let before = PolicyDocument { files: held.files, topics: held.topics, ..PolicyDocument::default() };
    let mut careless = before.clone();
    careless.files.push(("careless.cedar".to_owned(), CARELESS_RULE.to_owned()));
    careless.topics = careless.topics.replacen("[topics]", CARELESS_TOPICS, 1);
    activate(installation, &careless).await?;
    Ok(Restore(before))
}

impl Restore {
    pub(crate) async fn put_back(self, installation: &Installation) -> Result<(), Failure> {
        activate(installation, &self.0).await
    }
}

/// The answer waits until the gateway has it in force.
async fn activate(installation: &Installation, document: &PolicyDocument) -> Result<(), Failure> {
    installation.management()?.set_policy(environment(), document).await.map(drop)
}
