//! The user who runs this process, for libpq's defaults of user and home directory.

use std::fs;

/// A line of /etc/passwd.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OsUser {
    /// The login name.
    pub name: String,
    /// The home directory.
    pub home: String,
}

/// Returns the user of our effective uid, from /etc/passwd alone.
///
/// getpwuid would load the image's NSS modules into a static glibc binary, and images have none.
/// Users from LDAP must be declared by USER or in the URL.
pub(super) fn current() -> Option<OsUser> {
    of_uid(rustix::process::geteuid().as_raw())
}

/// Returns the user of this uid, from /etc/passwd alone.
pub(super) fn of_uid(uid: u32) -> Option<OsUser> {
    // Lines that are not UTF-8 must not hide the user.
    let passwd = fs::read("/etc/passwd").ok()?;
    find(&String::from_utf8_lossy(&passwd), uid)
}

fn find(passwd: &str, uid: u32) -> Option<OsUser> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let theirs = fields.nth(1)?.parse::<u32>().ok()?;
        let home = fields.nth(2)?;
        (theirs == uid).then(|| OsUser { name: name.to_owned(), home: home.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_found_by_uid() {
        const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\n+::::::\nbroken\n\
            vcap:x:1000:1000:,,,:/home/vcap:/bin/bash\n";
        let name = |uid| find(PASSWD, uid).map(|user| (user.name, user.home));
        assert_eq!(name(0), Some(("root".to_owned(), "/root".to_owned())));
        assert_eq!(name(1000), Some(("vcap".to_owned(), "/home/vcap".to_owned())));
        assert_eq!(name(1), None);
    }
}
