/* Counts the frames of a running vxtap by session and inner flow, in another process and without
 * copying them.
 *
 *     cc -O2 -I include examples/flows.c -o flows
 *     ./flows /run/vxtap/flows.sock
 *
 * The configuration has an output with type = "shared" and path = "/run/vxtap/flows.sock". The
 * program ends with the engine, or on SIGINT or SIGTERM, and then prints the counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#include "vxtap.h"

#define RINGS_MAX 256
#define FLOWS_MAX 65536 /* a power of two */
#define HEAD_MAX 128    /* bytes of a frame that are looked at */

struct ring {
    const uint8_t *umem, *memory;
    const struct vxtap_ring *header;
    _Atomic uint64_t *tail;
    uint64_t position;
};

struct flow {
    uint32_t session;
    uint8_t protocol, version;
    uint16_t port[2];
    uint8_t address[2][16];
    uint64_t frames;
};

static struct ring rings[RINGS_MAX];
static int ring_count;
static struct flow flows[FLOWS_MAX];
static uint64_t total, others;
static volatile sig_atomic_t stopped;

static void stop(int signal) {
    (void)signal;
    stopped = 1;
}

static void fail(const char *what) {
    fprintf(stderr, "flows: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *map(int file, int protection) {
    struct stat status;
    if (fstat(file, &status) < 0)
        fail("fstat");
    void *memory = mmap(NULL, status.st_size, protection, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    close(file);
    return memory;
}

/* Receives one parcel; returns 0 if the engine has closed the connection, -1 if there is none. */
static int receive(int socket, int flags) {
    struct vxtap_parcel parcel;
    int files[3], count = 0;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof files)];
    } control;
    struct iovec slice = { &parcel, sizeof parcel };
    struct msghdr message = { .msg_iov = &slice, .msg_iovlen = 1,
                              .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t len = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    if (len == 0)
        return 0;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights && rights->cmsg_type == SCM_RIGHTS) {
        count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof files[0];
        memcpy(files, CMSG_DATA(rights), count * sizeof files[0]);
    }
    if (parcel.kind == VXTAP_PARCEL_RING && count == 3 && ring_count < RINGS_MAX) {
        struct ring *ring = &rings[ring_count++];
        ring->umem = map(files[0], PROT_READ);
        ring->memory = map(files[1], PROT_READ);
        ring->header = (const struct vxtap_ring *)ring->memory;
        uint8_t *tail = map(files[2], PROT_READ | PROT_WRITE);
        ring->tail = (_Atomic uint64_t *)(tail + VXTAP_TAIL);
    } else {
        while (count > 0)
            close(files[--count]);
    }
    return 1;
}

static int attach(const char *path) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct vxtap_hello hello = { VXTAP_SOCKET_MAGIC, VXTAP_VERSION, VXTAP_MEMBER_ANY };
    struct vxtap_welcome welcome = { 0 };
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int socket_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (socket_ < 0 || connect(socket_, (struct sockaddr *)&address, sizeof address) < 0)
        fail(path);
    if (send(socket_, &hello, sizeof hello, 0) < 0 ||
        recv(socket_, &welcome, sizeof welcome, 0) < (ssize_t)sizeof welcome)
        fail("the engine does not answer");
    if (memcmp(welcome.magic, VXTAP_SOCKET_MAGIC, 8) || welcome.status != VXTAP_STATUS_WELCOME) {
        fprintf(stderr, "flows: refused: %s\n", welcome.sentence);
        exit(1);
    }
    while ((uint32_t)ring_count < welcome.rings)
        if (receive(socket_, 0) == 0)
            fail("the engine has closed the connection");
    return socket_;
}

static void count(uint32_t session, const uint8_t *packet, size_t len) {
    struct flow flow = { .session = session };
    size_t size, ports;
    if (len >= 20 && packet[0] >> 4 == 4) {
        size = 4;
        flow.protocol = packet[9];
        memcpy(flow.address[0], packet + 12, 4);
        memcpy(flow.address[1], packet + 16, 4);
        ports = (packet[0] & 15) * 4;
    } else if (len >= 40 && packet[0] >> 4 == 6) {
        size = 16;
        flow.protocol = packet[6];
        memcpy(flow.address[0], packet + 8, 16);
        memcpy(flow.address[1], packet + 24, 16);
        ports = 40;
    } else {
        others++;
        return;
    }
    flow.version = packet[0] >> 4;
    if ((flow.protocol == IPPROTO_TCP || flow.protocol == IPPROTO_UDP) && len >= ports + 4)
        for (int side = 0; side < 2; side++)
            flow.port[side] = packet[ports + 2 * side] << 8 | packet[ports + 2 * side + 1];
    /* Both directions are one flow. */
    int order = memcmp(flow.address[0], flow.address[1], size);
    if (order > 0 || (order == 0 && flow.port[0] > flow.port[1])) {
        struct flow turned = flow;
        memcpy(flow.address[0], turned.address[1], 16);
        memcpy(flow.address[1], turned.address[0], 16);
        flow.port[0] = turned.port[1];
        flow.port[1] = turned.port[0];
    }
    uint32_t hash = 2166136261u;
    for (size_t at = 0; at < offsetof(struct flow, frames); at++)
        hash = (hash ^ ((uint8_t *)&flow)[at]) * 16777619u;
    for (uint32_t step = 0; step < 64; step++) {
        struct flow *place = &flows[(hash + step) & (FLOWS_MAX - 1)];
        if (place->frames == 0)
            *place = flow;
        if (memcmp(place, &flow, offsetof(struct flow, frames)) == 0) {
            place->frames++;
            return;
        }
    }
    others++;
}

static void frame(const struct vxtap_descriptor *descriptor, const uint8_t *bytes, size_t len) {
    size_t header = 0;
    total++;
    if (!(descriptor->flags & VXTAP_IP)) {
        header = 14;
        while (len >= header + 4 && bytes[header - 2] == 0x81 && bytes[header - 1] == 0)
            header += 4; /* a VLAN tag */
    }
    if (len > header)
        count(descriptor->session, bytes + header, len - header);
    else
        others++;
}

static const struct vxtap_descriptor *descriptor_at(const struct ring *ring, uint64_t position) {
    const uint8_t *first = ring->memory + ring->header->descriptors;
    return (const struct vxtap_descriptor *)first + (position & (ring->header->ring_len - 1));
}

/* Copies the first bytes of the frame at this position, whatever parts they lie in; returns their
 * number. All parts of a frame are published at once. */
static size_t copy_head(const struct ring *ring, uint64_t position, uint8_t head[HEAD_MAX]) {
    for (size_t copied = 0;; position++) {
        const struct vxtap_descriptor *part = descriptor_at(ring, position);
        size_t more = part->len < HEAD_MAX - copied ? part->len : HEAD_MAX - copied;
        memcpy(head + copied, ring->umem + part->addr, more);
        copied += more;
        if (copied == HEAD_MAX || !(part->flags & VXTAP_CONTINUES))
            return copied;
    }
}

/* Returns whether the engine has taken the memory of the ring back, so that what was copied from it
 * before may be other frames. */
static int is_revoked(const struct ring *ring) {
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit((_Atomic uint32_t *)(ring->memory + VXTAP_RING_REVOKED),
                                memory_order_relaxed) != 0;
}

/* Reads the published frames of a ring; returns the number of descriptors. */
static uint64_t read_ring(struct ring *ring) {
    uint64_t head = atomic_load_explicit((_Atomic uint64_t *)(ring->memory + VXTAP_RING_HEAD),
                                         memory_order_acquire);
    uint64_t begin = ring->position;
    for (int is_first = 1; ring->position < head; ring->position++) {
        const struct vxtap_descriptor *descriptor = descriptor_at(ring, ring->position);
        uint8_t copied[HEAD_MAX];
        if (is_first) {
            size_t len = copy_head(ring, ring->position, copied);
            if (is_revoked(ring))
                return 0; /* the connection ends too */
            frame(descriptor, copied, len);
        }
        is_first = !(descriptor->flags & VXTAP_CONTINUES);
    }
    /* One store releases the memory of all of them. */
    atomic_store_explicit(ring->tail, ring->position, memory_order_release);
    return ring->position - begin;
}

static void print(void) {
    char address[2][INET6_ADDRSTRLEN];
    for (size_t at = 0; at < FLOWS_MAX; at++) {
        struct flow *flow = &flows[at];
        if (flow->frames == 0)
            continue;
        for (int side = 0; side < 2; side++)
            inet_ntop(flow->version == 4 ? AF_INET : AF_INET6, flow->address[side], address[side],
                      sizeof address[side]);
        printf("%10llu  session %u  %u  %s %u  %s %u\n", (unsigned long long)flow->frames,
               flow->session, flow->protocol, address[0], flow->port[0], address[1], flow->port[1]);
    }
    printf("%10llu frames, %llu of them not counted by flow\n", (unsigned long long)total,
           (unsigned long long)others);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
        return 2;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    int socket = attach(argv[1]);
    fprintf(stderr, "flows: attached, %d rings\n", ring_count);
    for (int is_over = 0; !is_over && !stopped;) {
        /* Another queue, other sessions, or the end: received before the rings are read, so that
         * the last frames are read. */
        is_over = receive(socket, MSG_DONTWAIT) == 0;
        uint64_t read = 0;
        for (int at = 0; at < ring_count; at++)
            read += read_ring(&rings[at]);
        if (read == 0)
            nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    }
    print();
    return 0;
}
