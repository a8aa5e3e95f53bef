//! Looks up users and groups by name or number, for the owner of files.

use std::io;

use nix::unistd::{Group, Uid, User, getgid};

use super::Owner;

/// Looks up `USER` or `USER:GROUP` (getpwnam(3), getgrnam(3)). Without a group it is the user's
/// primary group, or this process's group for a user ID that has no entry.
pub(crate) fn find(owner: &str) -> io::Result<Owner> {
    let (user, group) =
        owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let (user, own_group) = if let Ok(number) = user.parse() {
        (number, User::from_uid(Uid::from_raw(number))?.map(|user| user.gid))
    } else {
        let found = User::from_name(user)?.ok_or_else(|| not_found("user", user))?;
        (found.uid.as_raw(), Some(found.gid))
    };
    let group = match group.map(|group| (group, group.parse())) {
        None => own_group.unwrap_or_else(getgid).as_raw(),
        Some((_, Ok(number))) => number,
        Some((group, Err(_))) => {
            Group::from_name(group)?.ok_or_else(|| not_found("group", group))?.gid.as_raw()
        }
    };
    Ok(Owner { user, group })
}

fn not_found(kind: &str, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("this system has no {kind} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_by_name_and_by_number() {
        let root = Owner { user: 0, group: 0 };
        for owner in ["root", "0", "root:root", "0:0", "root:0"] {
            assert_eq!(find(owner).unwrap(), root, "{owner}");
        }
        assert_eq!(find("4294967:7").unwrap(), Owner { user: 4_294_967, group: 7 });
        assert_eq!(
            find("nosuch-user").unwrap_err().to_string(),
            "this system has no user nosuch-user"
        );
        assert_eq!(
            find("root:nosuch-group").unwrap_err().to_string(),
            "this system has no group nosuch-group"
        );
    }
}
