/* Lets a program take this processor for another x86-64 one: loaded before it by tools/as_processor.

   The kernel can make the instruction CPUID fail (arch_prctl(ARCH_CPUID, 0), see its manual page). What then arrives as
   a signal is answered here as by the other processor, but with no feature that this one lacks. So compilers that look
   at the processor make the code that they make there, and it runs at full speed. What reads /proc/cpuinfo sees this
   processor. */

#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_CPUID 0x1012

struct processor {
    const char *name;
    unsigned signature; /* family, model and stepping, as leaf 1 has them */
    int has_avx512;
};

static const struct processor processors[] = {
    {"zen2", 0x00830f10, 0},
    {"zen3", 0x00a00f11, 0},
    {"zen4", 0x00a10f11, 1},
    {"zen5", 0x00b00f21, 1},
};
static const struct processor *processor;
static int is_ours;

static int answer_cpuid(int is_wanted)
{
    return syscall(SYS_arch_prctl, ARCH_CPUID, (unsigned long)is_wanted);
}

/* Of extended features, leaf 7. */
static void cut_features(unsigned *b, unsigned *c, unsigned *d)
{
    /* HLE, RTM; WAITPKG, CLDEMOTE, MOVDIRI, MOVDIR64B; SERIALIZE, TSXLDTRK, AMX, AVX512_FP16. */
    *b &= ~(1u << 4 | 1u << 11);
    *c &= ~(1u << 5 | 1u << 25 | 1u << 27 | 1u << 28);
    *d &= ~(1u << 14 | 1u << 16 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25);
    if (!processor->has_avx512) {
        *b &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31);
        *c &= ~(1u << 1 | 1u << 6 | 1u << 8 | 1u << 11 | 1u << 12 | 1u << 14);
        *d &= ~(1u << 2 | 1u << 3 | 1u << 8);
    }
}

static void answer(int signal_number, siginfo_t *information, void *context)
{
    (void)information;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *instruction = (const unsigned char *)registers[REG_RIP];
    if (instruction[0] != 0x0f || instruction[1] != 0xa2) {
        /* A fault of the program: met again, it ends it. */
        struct sigaction usual;
        memset(&usual, 0, sizeof usual);
        usual.sa_handler = SIG_DFL;
        is_ours = 1;
        sigaction(signal_number, &usual, NULL);
        return;
    }
    unsigned leaf = registers[REG_RAX], sub_leaf = registers[REG_RCX], a, b, c, d;
    answer_cpuid(1);
    __cpuid_count(leaf, sub_leaf, a, b, c, d);
    answer_cpuid(0);
    if (leaf == 0 || leaf == 0x80000000u) {
        memcpy(&b, "Auth", 4);
        memcpy(&d, "enti", 4);
        memcpy(&c, "cAMD", 4);
    } else if (leaf == 1) {
        a = processor->signature;
    } else if (leaf == 7 && sub_leaf == 0) {
        cut_features(&b, &c, &d);
    } else if (leaf == 7 && sub_leaf == 1) {
        /* AVX512_BF16 alone. */
        a = processor->has_avx512 ? a & 1u << 5 : 0;
        b = c = d = 0;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

/* Nobody else takes the signal, as Python's faulthandler would. */
int sigaction(int signal_number, const struct sigaction *wanted, struct sigaction *former)
{
    int (*of_system)(int, const struct sigaction *, struct sigaction *) = dlsym(RTLD_NEXT, "sigaction");
    if (signal_number == SIGSEGV && processor && !is_ours)
        wanted = NULL;
    return of_system(signal_number, wanted, former);
}

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("REFCNN_AS_PROCESSOR");
    for (size_t k = 0; name && k < sizeof processors / sizeof *processors; k++)
        if (strcmp(name, processors[k].name) == 0)
            processor = &processors[k];
    if (!processor)
        return;
    struct sigaction ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = answer;
    ours.sa_flags = SA_SIGINFO | SA_NODEFER;
    is_ours = 1;
    sigaction(SIGSEGV, &ours, NULL);
    is_ours = 0;
    if (answer_cpuid(0) != 0) {
        fprintf(stderr, "This system does not let CPUID be answered by a program.\n");
        _exit(2);
    }
}
