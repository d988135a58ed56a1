// The wall clock of one process, set by a file. The library is loaded before the C library's (LD_PRELOAD), and
// the file that CLOCK_AHEAD_FILE names says by how many seconds the process is to be ahead of the machine, or
// behind it. It is read again every second. Clocks that only go on, such as CLOCK_MONOTONIC, stay as they are.
//
// Nothing here takes memory or looks a symbol up: the program's allocator asks for the time while it begins.
// libfaketime does, and a program whose allocator is jemalloc hangs with it.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const long NANOS_A_SECOND = 1000000000;
static const long READ_AGAIN_SECONDS = 1;

static atomic_long ahead_seconds;
static atomic_long read_again_at;

static int machine_clock(clockid_t clock, struct timespec *now) {
    return (int)syscall(SYS_clock_gettime, clock, now);
}

static void read_file(void) {
    const char *path = getenv("CLOCK_AHEAD_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    char text[32];
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return;
    text[length] = '\0';
    atomic_store(&ahead_seconds, strtol(text, NULL, 10));
}

static long ahead(void) {
    struct timespec now;
    machine_clock(CLOCK_MONOTONIC, &now);
    long at = atomic_load(&read_again_at);
    // One thread reads; the others go by what was read last.
    if (now.tv_sec >= at && atomic_compare_exchange_strong(&read_again_at, &at, now.tv_sec + READ_AGAIN_SECONDS))
        read_file();
    return atomic_load(&ahead_seconds);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = machine_clock(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    if (now) *now = time.tv_sec;
    return time.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

// Whoever waits until a time of the wall clock waits as long as it was away when the wait began.
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    struct timespec wall, steady, end = *until;
    clock_gettime(CLOCK_REALTIME, &wall);
    machine_clock(CLOCK_MONOTONIC, &steady);
    // A condition may go by the steady clock itself, which does not say so here; it counts from the machine's
    // start, so that its times are decades before any of the wall clock.
    if (until->tv_sec > wall.tv_sec / 2) {
        end.tv_sec += steady.tv_sec - wall.tv_sec;
        end.tv_nsec += steady.tv_nsec - wall.tv_nsec;
        if (end.tv_nsec < 0) {
            end.tv_nsec += NANOS_A_SECOND;
            end.tv_sec -= 1;
        } else if (end.tv_nsec >= NANOS_A_SECOND) {
            end.tv_nsec -= NANOS_A_SECOND;
            end.tv_sec += 1;
        }
        // What is over already may lie before the machine's start.
        if (end.tv_sec < 0) end.tv_sec = end.tv_nsec = 0;
    }
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &end);
}
