//! Finds the packets in a sequence of blocks.

use super::{Blocks, ENHANCED_PACKET};

impl Blocks {
    /// Returns the interface of each packet block.
    pub(in super::super) fn packet_interfaces(&self) -> Vec<u32> {
        let mut interfaces = Vec::new();
        let mut at = 0;
        while let Some(block_type) = self.u32_at(at) {
            if block_type == ENHANCED_PACKET {
                interfaces.extend(self.u32_at(at + 8));
            }
            at += self.u32_at(at + 4).map_or(self.bytes.len(), |len| len as usize);
        }
        interfaces
    }

    /// Returns the number of bytes of the complete blocks within the first `limit` bytes, and the
    /// interface of each packet block after them.
    pub(in super::super) fn complete_within(&self, limit: usize) -> (usize, Vec<u32>) {
        if limit >= self.bytes.len() {
            return (self.bytes.len(), Vec::new());
        }
        let (mut complete, mut rest, mut at) = (0, Vec::new(), 0);
        while let Some(block_type) = self.u32_at(at) {
            let end = at + self.u32_at(at + 4).map_or(self.bytes.len(), |len| len as usize);
            if end <= limit {
                complete = end;
            } else if block_type == ENHANCED_PACKET {
                rest.extend(self.u32_at(at + 8));
            }
            at = end;
        }
        (complete, rest)
    }

    fn u32_at(&self, offset: usize) -> Option<u32> {
        self.bytes.get(offset..)?.first_chunk().map(|&field| u32::from_le_bytes(field))
    }
}
