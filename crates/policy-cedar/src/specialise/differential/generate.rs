//! Random policies, devices and attempts, from a seed, biased so that rules are hit.

use crate::{CompiledPolicy, PolicyBundle};
use std::fmt::Write as _;
use touchmark_policy::{Access, Subject, Topic, TopicFilter, UpdatePath};

const HANDLES: [&str; 4] = ["h0", "h1", "h2", "pump-7"];
const MODELS: [&str; 3] = ["m0", "m1", "x200"];
const GROUPS: [&str; 4] = ["g0", "g1", "g2", "g3"];
const ENVIRONMENTS: [&str; 2] = ["lab", "plant"];
const ACTIONS: [&str; 4] = ["connect", "publish", "subscribe", "requestUpdate"];
const LEVELS: [&str; 9] = ["plant", "cmd", "a", "b", "{handle}", "{model}", "v-{handle}", "+", "$SYS"];
const WORDS: [&str; 8] = ["plant", "cmd", "a", "b", "h0", "m1", "x200", ""];
const UPDATES: [&str; 6] = ["{model}/*", "*/fw", "m1/*", "m0/{handle}", "*/*", "x200/fw"];
const TOPIC_NAMES: usize = 5;
const UPDATE_NAMES: usize = 3;

/// An attempt that owns its texts.
#[derive(Debug)]
pub(super) enum Ask {
    Connect,
    Publish(String),
    Subscribe(String),
    Update(&'static str, &'static str),
}

impl Ask {
    pub(super) fn access(&self) -> Access<'_> {
        match self {
            Self::Connect => Access::Connect,
            Self::Publish(topic) => Access::Publish(Topic::new(topic).unwrap()),
            Self::Subscribe(filter) => Access::Subscribe(TopicFilter::new(filter).unwrap()),
            Self::Update(model, file) => Access::RequestUpdate(UpdatePath::new(model, file).unwrap()),
        }
    }

    pub(super) fn has_levels(&self) -> bool {
        matches!(self, Self::Publish(text) | Self::Subscribe(text) if text.contains('/'))
    }
}

/// SplitMix64: small, and the same everywhere.
pub(super) struct Generator(u64);

impl Generator {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn subject(&mut self) -> Subject {
        let mut scope = Vec::new();
        if self.chance(75) {
            scope.push(format!("model:{}", self.pick(&MODELS)));
        }
        if self.chance(50) {
            scope.push(format!("custody:{}", self.pick(&["software", "tpm"])));
        }
        if self.chance(40) {
            scope.push("line:7".to_owned());
        }
        for group in GROUPS {
            if self.chance(45) {
                scope.push(format!("group:{group}"));
            }
        }
        let (environment, handle) = (self.pick(&ENVIRONMENTS), self.pick(&HANDLES));
        Subject::from_scope(environment.parse().unwrap(), handle.parse().unwrap(), &scope).unwrap()
    }

    /// A policy that compiles, and its text. A few drafts are refused (a condition that can never hold).
    pub(super) fn policy(&mut self) -> (CompiledPolicy, String) {
        for _ in 0..50 {
            let (rules, topics) = (self.rules(), self.topics());
            let text = format!("{rules}\n{topics}");
            let bundle = PolicyBundle { files: vec![("random.cedar".to_owned(), rules)], topics };
            if let Ok(policy) = CompiledPolicy::compile(&bundle) {
                return (policy, text);
            }
        }
        panic!("no draft compiles");
    }

    fn topics(&mut self) -> String {
        let mut text = "[topics]\n".to_owned();
        for name in 0..TOPIC_NAMES {
            let patterns: Vec<String> =
                (0..1 + self.below(2)).map(|_| format!("{:?}", self.pattern())).collect();
            writeln!(text, "t{name} = [{}]", patterns.join(", ")).unwrap();
        }
        text.push_str("[updates]\n");
        for name in 0..UPDATE_NAMES {
            let patterns: Vec<String> =
                (0..1 + self.below(2)).map(|_| format!("{:?}", self.pick(&UPDATES))).collect();
            writeln!(text, "u{name} = [{}]", patterns.join(", ")).unwrap();
        }
        text
    }

    fn pattern(&mut self) -> String {
        let mut levels: Vec<&str> = (0..1 + self.below(3)).map(|_| self.pick(&LEVELS)).collect();
        if self.chance(50) {
            levels.push("#");
        } else if self.chance(5) {
            levels = vec!["#"];
        }
        levels.join("/")
    }

    fn rules(&mut self) -> String {
        let mut text = String::new();
        for number in 0..4 + self.below(10) {
            let effect = if self.chance(30) { "forbid" } else { "permit" };
            let (action, resource) = self.action_and_resource(effect);
            write!(text, "@id(\"r{number}\") {effect} ({}, {action}, {resource})", self.principal()).unwrap();
            for _ in 0..self.below(3) {
                let kind = if self.chance(70) { "when" } else { "unless" };
                write!(text, " {kind} {{ {} }}", self.condition(2)).unwrap();
            }
            text.push_str(";\n");
        }
        text
    }

    fn principal(&mut self) -> String {
        match self.below(10) {
            0..=3 => "principal".to_owned(),
            4 => "principal is Device".to_owned(),
            5 => format!("principal == Device::\"{}\"", self.pick(&HANDLES)),
            6 => format!("principal is Device in Group::\"{}\"", self.pick(&GROUPS)),
            _ => format!("principal in Group::\"{}\"", self.pick(&GROUPS)),
        }
    }

    fn action_and_resource(&mut self, effect: &str) -> (String, String) {
        let topics = format!("resource in Topics::\"t{}\"", self.below(TOPIC_NAMES));
        let updates = format!("resource in Updates::\"u{}\"", self.below(UPDATE_NAMES));
        if effect == "forbid" && self.chance(15) {
            let wide =
                self.pick(&["resource", "resource is Topic", "resource is Update", "resource is Gateway"]);
            return ("action".to_owned(), wide.to_owned());
        }
        if effect == "forbid" && self.chance(20) {
            return ("action".to_owned(), self.pick(&[topics.as_str(), updates.as_str()]).to_owned());
        }
        let (action, resource) = match self.below(8) {
            0 => {
                ("action == Action::\"connect\"", self.pick(&["resource", "resource is Gateway"]).to_owned())
            }
            1 | 2 => ("action == Action::\"publish\"", topics),
            3 | 4 => ("action == Action::\"subscribe\"", topics),
            5 => ("action in [Action::\"subscribe\", Action::\"publish\"]", topics),
            6 => ("action == Action::\"requestUpdate\"", updates),
            _ => (
                "action in Action::\"requestUpdate\"",
                updates.replace("resource in", "resource is Update in"),
            ),
        };
        (action.to_owned(), resource)
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth > 0 && self.chance(40) {
            let (a, b) = (self.condition(depth - 1), self.condition(depth - 1));
            return match self.below(5) {
                0 | 1 => format!("({a} && {b})"),
                2 => format!("({a} || {b})"),
                3 => format!("!({a})"),
                _ => format!("(if {a} then {b} else {})", self.condition(depth - 1)),
            };
        }
        let (group, other) = (self.pick(&GROUPS), self.pick(&GROUPS));
        match self.below(12) {
            0 => format!("principal.groups.contains(\"{group}\")"),
            1 => format!("principal.groups.containsAny([\"{group}\", \"{other}\"])"),
            2 => format!("principal.groups.containsAll([\"{group}\", \"{other}\"])"),
            3 => format!("principal in Group::\"{group}\""),
            4 => format!("principal.environment == \"{}\"", self.pick(&ENVIRONMENTS)),
            5 => format!("principal.handle != \"{}\"", self.pick(&HANDLES)),
            6 => "principal.handle like \"h*\"".to_owned(),
            7 => format!("(principal has model && principal.model == \"{}\")", self.pick(&MODELS)),
            8 => "principal has custody".to_owned(),
            9 => "principal.scope.contains(\"line:7\")".to_owned(),
            10 => format!("action == Action::\"{}\"", self.pick(&ACTIONS)),
            _ => format!("[Device::\"{}\", Device::\"h0\"].contains(principal)", self.pick(&HANDLES)),
        }
    }

    /// An attempt, most often near something that the policy names for this device or another.
    pub(super) fn ask(&mut self, policy: &CompiledPolicy, subject: &Subject, others: &[Subject]) -> Ask {
        loop {
            let whose = if self.chance(75) { subject } else { &others[self.below(others.len())] };
            let ask = match self.below(8) {
                0 => Ask::Connect,
                1..=3 => Ask::Publish(self.topic(policy, whose)),
                4..=6 => Ask::Subscribe(self.filter(policy, whose)),
                _ => Ask::Update(self.pick(&MODELS), self.pick(&["fw", "notes", "h0"])),
            };
            let valid = match &ask {
                Ask::Publish(topic) => Topic::new(topic).is_ok(),
                Ask::Subscribe(filter) => TopicFilter::new(filter).is_ok(),
                Ask::Connect | Ask::Update(..) => true,
            };
            if valid {
                return ask;
            }
        }
    }

    fn levels(&mut self, policy: &CompiledPolicy, subject: &Subject) -> Vec<String> {
        let name = format!("t{}", self.below(TOPIC_NAMES));
        let patterns: Vec<String> = policy.named.topics(&name, subject).map(|p| p.to_string()).collect();
        if patterns.is_empty() || self.chance(10) {
            return (0..1 + self.below(4)).map(|_| self.pick(&WORDS).to_owned()).collect();
        }
        patterns[self.below(patterns.len())].split('/').map(str::to_owned).collect()
    }

    fn topic(&mut self, policy: &CompiledPolicy, subject: &Subject) -> String {
        let mut levels = Vec::new();
        for level in self.levels(policy, subject) {
            match level.as_str() {
                "#" => levels.extend((0..self.below(3)).map(|_| self.pick(&WORDS).to_owned())),
                "+" => levels.push(self.pick(&WORDS).to_owned()),
                _ if self.chance(6) => levels.push(self.pick(&WORDS).to_owned()),
                _ => levels.push(level),
            }
        }
        levels.join("/")
    }

    fn filter(&mut self, policy: &CompiledPolicy, subject: &Subject) -> String {
        let mut levels = Vec::new();
        for level in self.levels(policy, subject) {
            match self.below(12) {
                0 => levels.push("+".to_owned()),
                1 => {
                    levels.push("#".to_owned());
                    break;
                }
                2 if level == "+" || level == "#" => levels.push(self.pick(&WORDS).to_owned()),
                _ => levels.push(level),
            }
        }
        let share = if self.chance(10) { "$share/g/" } else { "" };
        format!("{share}{}", levels.join("/"))
    }
}
