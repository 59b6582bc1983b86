//! What the daemon's threads show to the socket, and how the socket wakes them.

use super::foreign::Foreign;
use super::protocol::Refused;
use super::users::Users;
use crate::lifecycle::{Report, Wish};
use crate::store::Pair;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_x509::Certificate;

/// All environments; the same as long as the agent runs.
#[derive(Debug)]
pub struct Board {
    posts: Vec<Post>,
    own_uid: u32,
}

/// One environment.
#[derive(Debug)]
pub struct Post {
    pub environment: EnvironmentName,
    /// The name in it.
    pub identity: Name,
    /// Who may use the key.
    pub users: Users,
    /// What is signed beside messages of applications' own.
    pub signs: Vec<Foreign>,
    /// Wakes its thread.
    pub wishes: SyncSender<Wish>,
    /// What its thread shows.
    pub published: Mutex<Published>,
}

/// What a thread shows.
#[derive(Debug, Default)]
pub struct Published {
    /// How it stands; `None` until the thread has begun.
    pub report: Option<Report>,
    /// Why its files cannot be believed; then there is nothing else.
    pub broken: Option<String>,
    /// The pair in force.
    pub pair: Option<Arc<Pair>>,
    /// Anchors in force.
    pub anchors: Vec<Certificate>,
    /// The last hook that failed, until one runs well.
    pub hook: Option<String>,
}

impl Post {
    /// What its thread shows. A thread that panicked ends the process, so a poisoned lock is never seen whole.
    pub fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// `own_uid` is the agent's user, who may do everything.
    pub fn new(posts: Vec<Post>, own_uid: u32) -> Self {
        Self { posts, own_uid }
    }

    /// All environments.
    pub fn posts(&self) -> &[Post] {
        &self.posts
    }

    /// The named environment; without a name the only one.
    pub(super) fn post(&self, name: Option<&str>) -> Result<&Post, Refused> {
        match (name, self.posts.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(Refused::new(
                "environment-missing",
                "this agent keeps identities in several environments",
                "name one: touchmark-agent status lists them",
            )),
            (Some(name), posts) => {
                posts.iter().find(|post| post.environment.as_str() == name).ok_or_else(|| {
                    Refused::new(
                        "environment-unknown",
                        "this agent keeps no identity in an environment of this name",
                        "touchmark-agent status lists the environments",
                    )
                })
            }
        }
    }

    /// The same, for one who wants to use its key.
    pub(super) fn post_for(&self, name: Option<&str>, uid: u32) -> Result<&Post, Refused> {
        let post = self.post(name)?;
        if post.users.permit(uid, self.own_uid) {
            return Ok(post);
        }
        Err(Refused::new(
            "user-not-allowed",
            format!("user {uid} may not use this identity's key"),
            "put the user into `users` of this environment in the agent's configuration",
        ))
    }
}
