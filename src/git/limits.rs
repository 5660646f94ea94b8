//! Every bound on what a Git server may make towline do, in one place.
//!
//! A server, or whoever can push to it, is not trusted with our memory, disk or time: past these
//! bounds the fetch ends with its own reason, and the last revision fetched stays in use.

use std::time::Duration;

/// Bytes of a pack that a first (or a fallback) fetch of one commit may have.
pub const MAX_PACK_BYTES: u64 = 2 << 30;

/// Bytes of a pack that an incremental fetch may have. Above it, the history between the commit
/// in the cache and the new one is not worth having: the new commit is fetched alone.
pub const MAX_INCREMENTAL_BYTES: u64 = 64 << 20;

/// Bytes of everything else a server answers: capabilities, references, negotiation. A reference
/// takes some 70 bytes, so this is about half a million of them.
pub const MAX_ANSWER_BYTES: u64 = 32 << 20;

/// Bytes of one object, inflated, and of every buffer made from a size found in a pack.
pub const MAX_OBJECT_BYTES: usize = 256 << 20;

/// Bytes of the files in a commit that towline pushes.
pub const MAX_PUSH_BYTES: usize = 64 << 20;

/// Bytes kept of what a server says while it takes a push, such as the words of its hooks.
pub const MAX_HOOK_BYTES: usize = 4 << 10;

/// Bytes of one note: some ten thousand entries of one commit.
pub const MAX_NOTE_BYTES: usize = 4 << 20;

/// How often in a row somebody else may be faster before notes wait for a while.
pub const MAX_NOTE_RACES: u32 = 8;

/// Notes in one directory from which on new ones go into directories below it, as Git does it.
pub const NOTES_FLAT: usize = 256;

/// Commits looked at to name those that a revert takes back.
pub const MAX_REVERTED: usize = 1000;

/// How many commits in a row are fetched of a past that is not here, one after the other until what
/// is asked for is found: most often it is near.
pub const DEPTHS: [u32; 2] = [50, 1000];

/// Bytes of one directory (tree object): about half a million entries.
pub const MAX_DIRECTORY_BYTES: usize = 32 << 20;

/// Bytes of one commit or tag object that are looked at.
pub const MAX_COMMIT_BYTES: usize = 16 << 20;

/// A server that sends nothing for this long has stalled.
pub const STALL: Duration = Duration::from_secs(30);

/// How long a connection, with TLS or ssh keys agreed, may take to come about.
pub const CONNECT: Duration = Duration::from_secs(10);

/// How long one poll may take in all, however steadily the server trickles.
pub const POLL_DEADLINE: Duration = Duration::from_secs(60);

/// How long one fetch may take in all, however steadily the server trickles.
pub const FETCH_DEADLINE: Duration = Duration::from_secs(600);

/// How long the capabilities that a server advertised over http are taken as still true. They
/// save a request per poll; a request that fails with them is made again without.
pub const ADVERTISEMENT_AGE: Duration = Duration::from_secs(600);

/// How long an idle ssh connection is kept for the next poll.
pub const SSH_IDLE: Duration = Duration::from_secs(300);

/// The longest a server's `Retry-After` is obeyed for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// What is waited after a 429 without `Retry-After`.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Packs after which the cache is cloned anew, in a quiet moment: each fetch leaves one, and
/// every lookup searches all of them.
pub const MAX_PACKS: usize = 100;

/// Packs after which the cache is cloned anew at once, quiet or not.
pub const MAX_PACKS_EVER: usize = 400;

/// How long after a failed clone-anew the next one is tried.
pub const RECLONE_PAUSE: Duration = Duration::from_secs(600);

/// Commits whose parents are looked at to tell whether one is an ancestor of another.
pub const MAX_ANCESTRY_WALK: usize = 100_000;

/// Commits named to the server as already here: tips, and some ancestors of each.
pub const MAX_HAVES: usize = 256;

/// Ancestors of one tip named to the server, so that a rewritten branch still finds common ground.
pub const MAX_HAVES_PER_TIP: usize = 16;

/// Threads that resolve the deltas of a pack.
pub const PACK_THREADS: usize = 2;

/// Redirects followed, all of them within one host.
pub const MAX_REDIRECTS: usize = 3;

/// Bytes of unpacked files that are kept for the next commit, of all repositories together.
pub const MAX_KEPT_BYTES: usize = 4 << 20;

/// Bytes of one file that is kept. What is larger is rare, and is unpacked as it is read.
pub const MAX_KEPT_FILE: usize = 16 << 10;

/// Bytes of a URL.
pub const MAX_URL_BYTES: usize = 2048;

/// Bytes of a reference name or of a version range.
pub const MAX_REVISION_BYTES: usize = 250;

/// Characters of an author, address or subject as shown.
pub const MAX_SHOWN_CHARS: usize = 256;

/// Characters of a server's or a library's own words kept in an error.
pub const MAX_CAUSE_CHARS: usize = 400;
