//! How a shard is stored: compressed JSON lines, with the version of the format in front.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::error::{Class, Fault};
use crate::object::ObjectId;

/// The format below. A newer agent reads every older one; an older one refuses a newer one.
const FORMAT: u32 = 1;
/// The most that a shard may inflate to: well above 1,000 entries with the longest names.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// A stored shard that cannot be read. Nothing is pruned while that is so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the inventory: {0}")]
pub struct ShardError(String);

impl Fault for ShardError {
    fn class(&self) -> Class {
        Class::Stalled
    }
    fn reason(&self) -> &'static str {
        "InventoryUnreadable"
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    id: ObjectId,
    #[serde(flatten)]
    entry: Entry,
}

/// The bytes of a shard.
pub fn encode(entries: &BTreeMap<ObjectId, Entry>) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let mut write = |text: String| {
        gzip.write_all(text.as_bytes())
            .expect("a Vec takes every byte")
    };
    write(format!("towline-inventory {FORMAT}\n"));
    for (id, entry) in entries {
        let line = Line {
            id: id.clone(),
            entry: entry.clone(),
        };
        let text = serde_json::to_string(&line).expect("an entry is plain JSON");
        write(text + "\n");
    }
    gzip.finish().expect("a Vec takes every byte")
}

/// The entries of a shard.
///
/// # Errors
/// When the bytes are not a shard, or one of a newer format.
pub fn decode(bytes: &[u8]) -> Result<BTreeMap<ObjectId, Entry>, ShardError> {
    let mut text = String::new();
    GzDecoder::new(bytes)
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| ShardError(format!("it does not decompress: {e}")))?;
    let mut lines = text.lines();
    match lines
        .next()
        .and_then(|head| head.strip_prefix("towline-inventory "))
    {
        Some("1") => {}
        Some(newer) => {
            return Err(ShardError(format!(
                "format {newer} is newer than this agent; upgrade it"
            )));
        }
        None => return Err(ShardError("it does not begin with its format".into())),
    }
    lines
        .map(|line| {
            serde_json::from_str::<Line>(line)
                .map(|line| (line.id, line.entry))
                .map_err(|e| ShardError(format!("an entry is broken: {e}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::State;
    use crate::object::Gvk;

    #[test]
    fn a_shard_survives_storage_and_rubbish_is_refused() {
        let mut entry =
            Entry::intended(&Gvk::from_api_version("apps/v1", "Deployment"), u64::MAX, 5);
        let mut entries = BTreeMap::new();
        entries.insert(
            ObjectId::new("apps", "Deployment", "shop", "a"),
            entry.clone(),
        );
        entry.state = State::Owned { uid: "f2b1".into() };
        entry.adopted = true;
        entries.insert(ObjectId::new("apps", "Deployment", "shop", "b"), entry);
        assert_eq!(decode(&encode(&entries)), Ok(entries));
        assert!(decode(b"rubbish").is_err());
        assert!(decode(&[]).is_err());
    }

    #[test]
    fn a_shard_of_the_first_version_is_read_and_what_it_kept_is_kept_always() {
        let line = r#"{"kind":"ConfigMap","group":"","namespace":"shop","name":"a","version":"v1","hash":7,"state":{"owned":{"uid":"u"}},"keep":true}"#;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(format!("towline-inventory 1\n{line}\n").as_bytes())
            .expect("a Vec takes every byte");
        let read = decode(&gzip.finish().expect("complete")).expect("readable");
        let entry = read.values().next().expect("one");
        assert_eq!(entry.wave, 0);
        assert_eq!(entry.on_prune(), crate::api::Removal::Keep);
        assert_eq!(entry.on_delete(), crate::api::Removal::Keep);
        // What has nothing new to say is written as it was.
        let written = serde_json::to_string(entry).expect("plain JSON");
        assert_eq!(
            written,
            r#"{"version":"v1","hash":7,"state":{"owned":{"uid":"u"}},"keep":true}"#
        );
    }
}
