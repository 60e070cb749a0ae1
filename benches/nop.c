// A command that does nothing. Without the C library, whose start has page faults and system calls of its own.
#include <sys/syscall.h>

void _start(void) {
#if defined __x86_64__
    __asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0));
#elif defined __aarch64__
    register long number __asm__("x8") = SYS_exit, code __asm__("x0") = 0;
    __asm__ volatile("svc 0" : : "r"(number), "r"(code));
#else
#error "benches/nop.c: exit(2) of this machine is missing"
#endif
}
