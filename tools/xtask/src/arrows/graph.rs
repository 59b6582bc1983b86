//! The crate graph as cargo resolved it: what is linked into what.
//!
//! Dev-dependencies are left out: they never reach a binary that people run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::listed::{Arrows, Wall};
use crate::report::Failed;

/// Packages are `touchmark-<folder>`; the page speaks of folders.
const PREFIX: &str = "touchmark-";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: String,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// Absent for a normal dependency.
    kind: Option<String>,
}

pub(crate) struct Graph {
    /// Name by package id: short for ours, the registry's for the others.
    names: BTreeMap<String, String>,
    /// Folder by package id, for members only: `crates`, `services`, `tools`, `tests`.
    folders: BTreeMap<String, String>,
    /// What is linked, by package id.
    linked: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(crate) fn from_metadata(json: &[u8]) -> Result<Self, Failed> {
        let metadata: Metadata = serde_json::from_slice(json)
            .map_err(|error| Failed::because(format!("cargo metadata is not as expected: {error}")))?;
        let mut graph = Self { names: BTreeMap::new(), folders: BTreeMap::new(), linked: BTreeMap::new() };
        for package in metadata.packages {
            let mut name = package.name;
            if metadata.workspace_members.contains(&package.id) {
                name = name.strip_prefix(PREFIX).unwrap_or(&name).to_owned();
                let below = package.manifest_path.strip_prefix(&metadata.workspace_root).unwrap_or_default();
                let folder = below.split(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
                graph.folders.insert(package.id.clone(), folder.to_owned());
            }
            graph.names.insert(package.id, name);
        }
        for node in metadata.resolve.nodes {
            let linked = node.deps.into_iter().filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
            });
            graph.linked.insert(node.id, linked.map(|dependency| dependency.pkg).collect());
        }
        Ok(graph)
    }

    /// Ids of our own crates.
    pub(crate) fn members(&self) -> impl Iterator<Item = &String> {
        self.folders.keys()
    }

    pub(crate) fn arrow_count(&self) -> usize {
        self.arrows().values().map(BTreeSet::len).sum()
    }

    /// Differences between the graph and the list, in both directions.
    pub(crate) fn arrows_against(&self, listed: &Arrows) -> Vec<String> {
        let arrows = self.arrows();
        let mut faults = Vec::new();
        for (from, to) in &arrows {
            let Some(allowed) = listed.get(from) else {
                faults.push(format!("crate `{from}` is not listed in the block `arrows`"));
                continue;
            };
            for new in to.difference(allowed) {
                faults.push(format!(
                    "new arrow {from} -> {new}: take it out, or list it with an ADR that says why"
                ));
            }
            for stale in allowed.difference(to) {
                faults.push(format!("stale arrow {from} -> {stale}: it is listed but no longer used"));
            }
        }
        for gone in listed.keys().filter(|name| !arrows.contains_key(*name)) {
            faults.push(format!("crate `{gone}` is listed but not in the workspace"));
        }
        faults
    }

    /// Arrows from a lower folder to a higher one: the core knows no shell, a shell knows no tool.
    pub(crate) fn upward(&self) -> Vec<String> {
        let height = |id: &String| match self.folders.get(id).map(String::as_str) {
            Some("crates") => 0,
            Some("services") => 1,
            _ => 2,
        };
        let mut faults = Vec::new();
        for from in self.members() {
            for to in self.linked_members(from).filter(|to| height(to) > height(from)) {
                faults.push(format!("arrow upward {} -> {}", self.name(from), self.name(to)));
            }
        }
        faults
    }

    /// Walls that something is linked through, with the way it took. A wall may stand before its crate does.
    pub(crate) fn through_walls(&self, walls: &[Wall]) -> Vec<String> {
        let mut faults = Vec::new();
        for wall in walls {
            for from in self.members().filter(|id| self.stands_behind(id, wall)) {
                let ways = self.ways_from(from);
                for way in ways.values().filter(|way| way.len() > 1) {
                    if way.last().is_some_and(|last| wall.never.contains(last)) {
                        faults.push(format!("through the wall of `{}`: {}", wall.of, way.join(" -> ")));
                    }
                }
            }
        }
        faults
    }

    fn arrows(&self) -> Arrows {
        let arrow = |id: &String| {
            (self.name(id).to_owned(), self.linked_members(id).map(|to| self.name(to).to_owned()).collect())
        };
        self.members().map(arrow).collect()
    }

    fn linked_members(&self, id: &String) -> impl Iterator<Item = &String> {
        self.linked.get(id).into_iter().flatten().filter(|to| self.folders.contains_key(*to))
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }

    fn stands_behind(&self, id: &String, wall: &Wall) -> bool {
        match wall.of.strip_suffix("/*") {
            Some(folder) => self.folders.get(id).is_some_and(|of| of == folder),
            None => self.name(id) == wall.of,
        }
    }

    /// The shortest way, in names, to everything linked into `from`.
    fn ways_from<'a>(&'a self, from: &'a String) -> BTreeMap<&'a String, Vec<String>> {
        let mut ways = BTreeMap::from([(from, vec![self.name(from).to_owned()])]);
        let mut queue = std::collections::VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            for to in self.linked.get(at).into_iter().flatten() {
                if !ways.contains_key(to) {
                    let mut way = ways.get(at).cloned().unwrap_or_default();
                    way.push(self.name(to).to_owned());
                    ways.insert(to, way);
                    queue.push_back(to);
                }
            }
        }
        ways
    }
}

#[cfg(test)]
mod tests;
