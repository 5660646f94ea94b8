//! Reading objects out of a manifest or patch: splitting documents, unpacking lists, and the little
//! that every object must have.

use std::collections::VecDeque;

use super::Source;
use super::error::{Error, Reason, Result};
use super::fields::{is_empty, metadata_text, text, type_name};
use super::kustomization::yaml_error;
use super::limits::MAX_NESTED_LISTS;
use super::resource::Resource;
use crate::yaml::{Duplicates, Mapping, Node, Resolver, read_documents, resolve};

/// The objects of a file. Those of lists come last, but for a lone `kind: List`.
///
/// # Errors
/// On text that is no YAML and on anything that is no object.
pub(super) fn read(bytes: &[u8], path: &str) -> Result<Vec<Resource>> {
    let documents = read_documents(bytes).map_err(|e| yaml_error(&e, path))?;
    let mut nodes = unwrap_lone_list(documents);
    nodes.retain(|node| !is_empty(node));
    let mut queue = VecDeque::new();
    for node in nodes {
        queue.push_back((object(node).map_err(|e| e.within(path))?, 0));
    }
    let mut resources = Vec::new();
    while let Some((object, depth)) = queue.pop_front() {
        let line = (object.line > 0).then_some(object.line);
        let items = items(&object).map_err(|e| e.on_line(object.line).within(path))?;
        let Some(items) = items else {
            resources.push(Resource::new(
                object,
                Source {
                    path: path.to_owned(),
                    line,
                },
            ));
            continue;
        };
        if depth >= MAX_NESTED_LISTS {
            return Err(Error::new(
                Reason::LimitExceeded,
                format!("lists are nested deeper than {MAX_NESTED_LISTS}"),
            )
            .on_line(object.line)
            .within(path));
        }
        for item in items {
            queue.push_back((item.map_err(|e| e.within(path))?, depth + 1));
        }
    }
    Ok(resources)
}

/// A single document `kind: List` is nothing but its items.
fn unwrap_lone_list(mut documents: Vec<Node>) -> Vec<Node> {
    if let [Node::Mapping(list)] = documents.as_mut_slice() {
        let kind = list.get("kind").map_or("", text);
        if matches!(kind, "List" | "ResourceList")
            && (list.contains("items") || list.contains("functionConfig"))
        {
            return match list.remove("items") {
                Some(Node::Sequence(items)) => items.items.into(),
                _ => Vec::new(),
            };
        }
    }
    documents
}

/// The node as an object with a kind and a name.
fn object(node: Node) -> Result<Mapping> {
    let line = node.line();
    let missing =
        |message: &str, hint: &str| Err(Error::failed(message.to_owned()).hint(hint).on_line(line));
    let Node::Mapping(object) = node else {
        return missing(
            &format!("expected an object, found {}", type_name(&node)),
            "an object is a mapping with apiVersion, kind and metadata",
        );
    };
    let kind = object.get("kind").map_or("", text);
    if kind.is_empty() {
        return missing("the object has no kind", "every object needs a `kind`");
    }
    if !kind.ends_with("List") && metadata_text(&object, "name").is_empty() {
        let message = format!("the {kind} has no name");
        return missing(
            &message,
            "set `metadata.name`; `generateName` is not enough",
        );
    }
    Ok(object)
}

type Items = Vec<Result<Mapping>>;

/// The items of a list object, as kustomize reads them: through JSON.
fn items(object: &Mapping) -> Result<Option<Items>> {
    if !object.get("kind").map_or("", text).ends_with("List") {
        return Ok(None);
    }
    let list = match object.get("items") {
        None => return Ok(None),
        Some(Node::Sequence(list)) => list,
        Some(node) if node.is_null() => return Ok(Some(Vec::new())),
        Some(node) => {
            let found = type_name(node);
            return Err(Error::failed(format!("`items` is {found}, not a list")));
        }
    };
    let mut items = Vec::new();
    for item in &list.items {
        let value = resolve(item, Resolver::Kustomize, Duplicates::Error).map_err(|e| {
            let line = e.line.unwrap_or_else(|| item.line());
            Error::new(Reason::YamlInvalid, e.message).on_line(line)
        })?;
        let mut nodes = unwrap_lone_list(vec![Node::from_value(&value)]);
        nodes.retain(|node| !is_empty(node));
        items.extend(nodes.into_iter().map(|node| {
            let mut object = object_at(node, item.line())?;
            object.line = item.line();
            Ok(object)
        }));
    }
    Ok(Some(items))
}

fn object_at(node: Node, line: u32) -> Result<Mapping> {
    object(node).map_err(|e| e.on_line(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let resources = read(text.as_bytes(), "f.yaml").expect("a good manifest");
        resources.iter().map(|r| r.name().to_owned()).collect()
    }

    #[test]
    fn items_of_a_list_come_behind_the_other_objects() {
        let list = "kind: PodList\nitems: [{kind: Pod, metadata: {name: a}}]\n";
        let pod = "kind: Pod\nmetadata: {name: b}\n";
        assert_eq!(names(&format!("{list}---\n{pod}")), ["b", "a"]);
    }

    #[test]
    fn a_name_is_required() {
        let error = read(b"\n\nkind: Pod\nmetadata: {generateName: a}\n", "f.yaml");
        let error = error.expect_err("no name").to_string();
        assert!(
            error.starts_with("f.yaml:3: the Pod has no name"),
            "{error}"
        );
    }
}
