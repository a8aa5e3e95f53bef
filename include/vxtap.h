/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Interface to an output of type = "shared": another process reads the frames of a running vxtap
 * without copying them. Described in docs/ring-abi.md; examples/flows.c is an example.
 *
 * Linux, 64 bits, C11 (or C++ with <cstdatomic>). Numbers in memory and on the socket are in the
 * byte order of the machine.
 */
#ifndef VXTAP_H
#define VXTAP_H

#include <stddef.h>
#include <stdint.h>

/* Version of this interface. An engine of another version refuses the consumer. */
#define VXTAP_VERSION 2

/* --- The socket: AF_UNIX, SOCK_SEQPACKET --------------------------------------------------- */

#define VXTAP_SOCKET_MAGIC "vxtapSHR"
/* vxtap_hello.member: selects the member that has the fewest consumers. */
#define VXTAP_MEMBER_ANY 4294967295u

/* First message of a consumer. */
struct vxtap_hello {
    char magic[8];
    uint32_t version;
    uint32_t member;
};

/* vxtap_welcome.status */
#define VXTAP_STATUS_WELCOME 0
#define VXTAP_STATUS_VERSION 1
#define VXTAP_STATUS_NO_SUCH_MEMBER 2
#define VXTAP_STATUS_FULL 3
#define VXTAP_STATUS_UNABLE 4

/* Answer of the engine. After VXTAP_STATUS_WELCOME it sends parcels, after any other status it
 * closes the connection. */
struct vxtap_welcome {
    char magic[8];
    uint32_t version;
    uint32_t status;
    uint32_t member;
    uint32_t members;
    uint32_t rings;     /* parcels of kind VXTAP_PARCEL_RING that follow at once */
    uint32_t reserved;
    char sentence[104]; /* reason of a refusal, for the operator; ends in NUL */
};

/* vxtap_parcel.kind */
#define VXTAP_PARCEL_RING 1     /* three files: UMEM, ring, tail */
#define VXTAP_PARCEL_SESSIONS 2 /* one file: a line for each session, "id<TAB>name" */

/* A message with files (SCM_RIGHTS, unix(7)). */
struct vxtap_parcel {
    char magic[8];
    uint32_t kind;
    uint32_t reserved;
};

/* --- The ring, for reading only ------------------------------------------------------------ */

#define VXTAP_RING_MAGIC "vxtapRNG"

/* Header of the ring's file. */
struct vxtap_ring {
    char magic[8];
    uint32_t version;
    uint32_t ring_len;        /* descriptors, a power of two */
    uint32_t descriptor_size; /* 32 */
    uint32_t descriptors;     /* offset of the first one in the file, in bytes */
    uint32_t chunk_size;      /* of the UMEM, in bytes */
    uint32_t chunk_count;
    uint32_t interface;       /* index in capture.interface, from 0 */
    uint32_t queue;           /* RX queue of the interface */
};

/* Head: uint64_t, load with acquire. The descriptors before this position are published. */
#define VXTAP_RING_HEAD 128
/* uint32_t, load with acquire. Not 0 once nothing more will be published. */
#define VXTAP_RING_WRITER_GONE 256
/* uint32_t. Not 0 once the engine has taken back memory that the consumer had not released, because
 * it has disconnected it: from then on the descriptors may name other frames, or parts of them. To
 * use a frame: copy what is needed of it, atomic_thread_fence(memory_order_acquire), load this
 * flag; if it is 0, the copy is good. */
#define VXTAP_RING_REVOKED 260

/* Tail, in its own file, which is mapped for writing: uint64_t, store with release. The consumer no
 * longer reads the descriptors before this position, nor the bytes that they refer to. The tail
 * never goes back and never beyond the head: the engine cuts off a consumer whose tail does. */
#define VXTAP_TAIL 0

/* A frame or a part of one. Position p is at descriptors + (p & (ring_len - 1)) * 32. */
struct vxtap_descriptor {
    uint64_t timestamp_ns; /* arrival, nanoseconds since 1970-01-01 UTC */
    uint64_t addr;         /* offset of the bytes in the UMEM's file */
    uint32_t len;          /* number of bytes at addr */
    uint32_t original_len; /* length of the whole frame before it was cut */
    uint32_t session;      /* 0: the default session */
    uint16_t outer_len;    /* bytes before addr, from the outer IP header on; 0 in further parts */
    uint16_t flags;
};

/* vxtap_descriptor.flags */
#define VXTAP_CONTINUES 1       /* the frame goes on in the next descriptor */
#define VXTAP_INGRESS 2         /* towards the mirrored interface */
#define VXTAP_EGRESS 4          /* away from it; neither flag: unknown */
#define VXTAP_GENEVE 8          /* the outer tunnel is GENEVE, else VXLAN */
#define VXTAP_NESTED 16         /* VXLAN in GENEVE */
#define VXTAP_IP 32             /* the frame begins with an IP header, else with Ethernet */
#define VXTAP_RESERVED_BITS 64  /* the tunnel header has reserved bits set */

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define VXTAP_AT(type, field, offset) \
    _Static_assert(offsetof(struct type, field) == (offset), #field)
#define VXTAP_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
VXTAP_SIZE(vxtap_hello, 16);
VXTAP_SIZE(vxtap_welcome, 136);
VXTAP_SIZE(vxtap_parcel, 16);
VXTAP_SIZE(vxtap_ring, 40);
VXTAP_AT(vxtap_ring, version, 8);
VXTAP_AT(vxtap_ring, ring_len, 12);
VXTAP_AT(vxtap_ring, descriptor_size, 16);
VXTAP_AT(vxtap_ring, descriptors, 20);
VXTAP_AT(vxtap_ring, chunk_size, 24);
VXTAP_AT(vxtap_ring, chunk_count, 28);
VXTAP_AT(vxtap_ring, interface, 32);
VXTAP_AT(vxtap_ring, queue, 36);
VXTAP_SIZE(vxtap_descriptor, 32);
VXTAP_AT(vxtap_descriptor, timestamp_ns, 0);
VXTAP_AT(vxtap_descriptor, addr, 8);
VXTAP_AT(vxtap_descriptor, len, 16);
VXTAP_AT(vxtap_descriptor, original_len, 20);
VXTAP_AT(vxtap_descriptor, session, 24);
VXTAP_AT(vxtap_descriptor, outer_len, 28);
VXTAP_AT(vxtap_descriptor, flags, 30);
#endif

#endif
