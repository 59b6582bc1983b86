//! Our words as Cedar entities. Entities are built by API, never by text, so no name can break out of its quotes.

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use touchmark_policy::{Action, Subject};

macro_rules! entity_types {
    ($($name:ident = $text:literal;)*) => {$(
        pub(crate) static $name: LazyLock<EntityTypeName> =
            LazyLock::new(|| $text.parse().expect("an identifier is a type name"));
    )*};
}

entity_types! {
    ACTION = "Action";
    DEVICE = "Device";
    GROUP = "Group";
    GATEWAY = "Gateway";
    TOPIC = "Topic";
    TOPICS = "Topics";
    UPDATE = "Update";
    UPDATES = "Updates";
    ROLE = "Role";
    ENVIRONMENT = "Environment";
    OPERATOR = "Operator";
    TARGET = "Target";
}

pub(crate) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

pub(crate) fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

pub(crate) fn texts(values: &[String]) -> RestrictedExpression {
    RestrictedExpression::new_set(values.iter().map(|value| text(value)))
}

/// The only gateway that rules can speak of: which one is connected to makes no difference.
pub(crate) fn gateway() -> EntityUid {
    uid(&GATEWAY, "gateway")
}

/// The action's name in the device schema; `call` and `renew` are not decided by device policies.
pub(crate) fn device_action(action: Action) -> Option<&'static str> {
    match action {
        Action::Connect => Some("connect"),
        Action::Publish => Some("publish"),
        Action::Subscribe => Some("subscribe"),
        Action::RequestUpdate => Some("requestUpdate"),
        Action::Call | Action::Renew => None,
    }
}

pub(crate) fn device(subject: &Subject) -> Option<Entity> {
    let mut attributes = HashMap::from([
        ("handle".to_owned(), text(subject.handle().as_str())),
        ("environment".to_owned(), text(subject.environment().as_str())),
        ("groups".to_owned(), texts(subject.groups())),
        ("scope".to_owned(), texts(subject.other_scope())),
    ]);
    if let Some(model) = subject.model() {
        attributes.insert("model".to_owned(), text(model));
    }
    if let Some(custody) = subject.custody() {
        attributes.insert("custody".to_owned(), text(custody));
    }
    let groups: HashSet<EntityUid> = subject.groups().iter().map(|group| uid(&GROUP, group)).collect();
    entity(uid(&DEVICE, subject.handle().as_str()), attributes, groups)
}

/// `None` cannot happen with attributes that are texts and sets of texts; callers fail closed all the same.
pub(crate) fn entity(
    uid: EntityUid,
    attributes: HashMap<String, RestrictedExpression>,
    parents: HashSet<EntityUid>,
) -> Option<Entity> {
    Entity::new(uid, attributes, parents).ok()
}

/// A slice of the world for one question.
pub(crate) fn entities(entities: impl IntoIterator<Item = Entity>) -> Option<Entities> {
    Entities::from_entities(entities, None).ok()
}

pub(crate) fn request(principal: EntityUid, action: EntityUid, resource: EntityUid) -> Option<Request> {
    Request::new(principal, action, resource, Context::empty(), None).ok()
}
