//! Keys that earlier versions had under other names: each is refused with its new name.

/// A key that was renamed.
pub(in crate::config) struct RenamedKey {
    /// Table that the key is in, as the documentation names it; empty for the top of the file.
    pub(in crate::config) table: &'static str,
    /// Name that is no longer accepted.
    pub(in crate::config) old: &'static str,
    /// Name of the same key now.
    pub(in crate::config) new: &'static str,
}

/// Every renamed key.
pub(in crate::config) const RENAMED: &[RenamedKey] = &[
    RenamedKey { table: "", old: "profile", new: "vxlan_profile" },
    RenamedKey { table: "session", old: "profile", new: "vxlan_profile" },
    RenamedKey { table: "vxlan_profile.sequence", old: "bit", new: "first_bit" },
    RenamedKey { table: "vxlan_profile.sequence", old: "bits", new: "bit_count" },
    RenamedKey { table: "memory", old: "outputs", new: "max_outputs" },
    RenamedKey { table: "output", old: "consumers", new: "max_consumers" },
    RenamedKey { table: "output", old: "readers", new: "max_readers" },
];

/// Returns the new name of a key of a table, if it was renamed.
pub(super) fn renamed(table: &str, key: &str) -> Option<&'static str> {
    RENAMED.iter().find(|it| it.table == table && it.old == key).map(|it| it.new)
}
