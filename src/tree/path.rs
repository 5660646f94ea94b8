//! Paths inside a tree: text with slashes, never the operating system's.

/// `relative` seen from the directory `dir`, without `.`, `..` and doubled slashes. `None` if it
/// is absolute, has a NUL or leads out of the tree.
pub(super) fn join(dir: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') || relative.contains('\0') || dir.contains('\0') {
        return None;
    }
    let mut path = String::with_capacity(dir.len() + relative.len() + 1);
    for part in dir.split('/').chain(relative.split('/')) {
        match part {
            "" | "." => {}
            ".." if path.is_empty() => return None,
            ".." => path.truncate(parent(&path).len()),
            name => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(name);
            }
        }
    }
    Some(path)
}

/// The directory of a normalised path; the root is its own.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// The directories above a path, but for the root, the outermost first.
pub(crate) fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}

/// A written path for a message: one line of bounded length.
pub(super) fn printable(path: &str) -> String {
    path.chars()
        .take(256)
        .flat_map(char::escape_debug)
        .collect()
}
