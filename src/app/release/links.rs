//! Where a release's symbolic links lead: nowhere outside of it. Checked last, over all entries.

use std::collections::BTreeMap;

use crate::app::AppError;
use crate::tree::TreePath;

use super::collect::{Item, bad};

/// As the kernel counts.
const HOPS_MAX: usize = 40;

/// Refuses every link that leads out of the release, by itself or through others.
pub(super) fn check(items: &BTreeMap<TreePath, Item>) -> Result<(), AppError> {
    for (path, item) in items {
        if let Item::Link { target, .. } = item {
            follow(items, path, target).map_err(|what| bad(path.as_bytes(), what))?;
        }
    }
    Ok(())
}

/// Walks as the kernel would. A target that is not there may be made later, inside.
fn follow(
    items: &BTreeMap<TreePath, Item>,
    link: &TreePath,
    target: &[u8],
) -> Result<(), &'static str> {
    let mut at: Vec<Box<[u8]>> = link.parent().map_or_else(Vec::new, |dir| parts(dir.as_bytes()));
    let mut todo = reversed(target)?;
    let mut hops = 0;
    while let Some(part) = todo.pop() {
        match &*part {
            b"" | b"." => {}
            b".." => {
                at.pop().ok_or("it is a link that leads out of the release")?;
            }
            _ => {
                at.push(part);
                let here = TreePath::parse(&at.join(&b'/')).ok();
                if let Some(Item::Link { target, .. }) = here.and_then(|path| items.get(&path)) {
                    hops += 1;
                    if hops > HOPS_MAX {
                        return Err("it is a link that leads in circles");
                    }
                    at.pop();
                    todo.extend(reversed(target)?);
                }
            }
        }
    }
    Ok(())
}

fn parts(path: &[u8]) -> Vec<Box<[u8]>> {
    path.split(|byte| *byte == b'/').map(Into::into).collect()
}

fn reversed(target: &[u8]) -> Result<Vec<Box<[u8]>>, &'static str> {
    if target.starts_with(b"/") {
        return Err("it is a link to an absolute path");
    }
    let mut parts = parts(target);
    parts.reverse();
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use crate::tree::Mtime;

    use super::*;

    fn release(entries: &[(&str, &str)]) -> Result<(), AppError> {
        let items = entries.iter().map(|(path, target)| {
            let path = TreePath::parse(path.as_bytes()).unwrap();
            let mtime = Mtime::default();
            let item = match *target {
                "" => Item::Directory { mtime },
                target => Item::Link { target: target.as_bytes().into(), mtime },
            };
            (path, item)
        });
        check(&items.collect())
    }

    #[test]
    fn a_link_inside_is_fine_wherever_it_leads() {
        assert!(
            release(&[("a", ""), ("a/b", "../c"), ("c", "not/there/yet"), ("d", "a/b")]).is_ok()
        );
        assert!(release(&[("a", "."), ("a2", "a/a/a")]).is_ok());
    }

    #[test]
    fn a_link_out_is_refused_also_through_others() {
        for entries in [
            &[("a", "..")][..],
            &[("a", "/etc")],
            &[("a", "x/../../y")],
            &[("d", ""), ("d/l", ".."), ("m", "d/l/..")],
            &[("d", ""), ("d/e", ""), ("l", "d/e"), ("m", "l/../../..")],
            &[("a", "b"), ("b", "a")],
        ] {
            assert!(release(entries).is_err(), "{entries:?}");
        }
        // The same text is harmless where the link on the way leads deeper.
        assert!(release(&[("d", ""), ("d/e", ""), ("l", "d/e"), ("m", "l/../..")]).is_ok());
    }
}
