"""What Linux offers an ordinary user to keep a process from acting: a filter of system calls (seccomp), and limits.

The filter is in force for the rest of the process, also for code in C and code that is reached by `ctypes`. It refuses
calls that change files, start processes, signal others, open sockets or administer the machine. On another system or
processor nothing is put in force. Sources: seccomp(2), seccomp_filter in the kernel's documentation, `asm/unistd.h`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

MEMORY_BYTES = 4 << 30

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, REFUSE, MISSING = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS
LOAD, EQUALS, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF: ld abs, jeq, jge, jset, ret
NUMBER, AUDIT_ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data
X32 = 0x40000000  # the bit of x86-64's second set of numbers
CLONE_THREAD = 0x10000
WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True, slots=True)
class Processor:
    """The numbers that the kernel has for a processor. A call that it does not have is left out."""

    architecture: int
    refused: tuple[int, ...]
    missing: tuple[int, ...]  # answered as if the kernel were older: libraries then use a call that can be judged
    clone: int
    opens: tuple[tuple[int, int], ...]  # a call, and which of its arguments is the flags
    to_itself: tuple[int, ...]  # calls whose first argument is a process: refused for others


# Calls that are new have one number on both: fchmodat2, setxattrat, removexattrat, io_uring_*, pidfd_*, move_mount, …
NEW = (424, 425, 426, 427, 428, 429, 430, 432, 434, 438, 442, 443, 452, 463, 466)
PROCESSORS = {
    "x86_64": Processor(
        architecture=0xC000003E,
        refused=(
            *(41, 42, 43, 49, 50, 288),  # socket connect accept bind listen accept4
            *(82, 83, 84, 85, 86, 87, 88, 133),  # rename mkdir rmdir creat link unlink symlink mknod
            *(258, 259, 263, 264, 265, 266, 316),  # mkdirat mknodat unlinkat renameat linkat symlinkat renameat2
            *(76, 77, 285),  # truncate ftruncate fallocate
            *(90, 91, 92, 93, 94, 260, 268),  # chmod fchmod chown fchown lchown fchownat fchmodat
            *(132, 235, 261, 280),  # utime utimes futimesat utimensat
            *(188, 189, 190, 197, 198, 199),  # setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
            *(57, 58, 59, 322),  # fork vfork execve execveat
            *(101, 310, 311, 129, 297, 200),  # ptrace process_vm_* rt_sigqueueinfo rt_tgsigqueueinfo tkill
            *(29, 30, 31, 64, 65, 66, 68, 69, 71, 240, 241),  # System V memory, semaphores, messages; mq_open mq_unlink
            *(206, 209, 248, 249, 250),  # io_setup io_submit add_key request_key keyctl
            *(155, 161, 165, 166, 167, 168, 272, 304, 308),  # pivot_root chroot mount … unshare open_by_handle_at setns
            *(103, 159, 163, 164, 169, 170, 171, 179, 227, 305),  # syslog, clocks, accounting, names, quotas, reboot
            *(172, 173, 175, 176, 246, 298, 313, 320, 321, 323),  # ports, modules, kexec, perf, bpf, userfaultfd
        ),
        missing=(435, 437),  # clone3 openat2
        clone=56,
        opens=((2, 1), (257, 2)),  # open openat
        to_itself=(62, 234),  # kill tgkill
    ),
    "aarch64": Processor(
        architecture=0xC00000B7,
        refused=(
            *(198, 200, 201, 202, 203, 242),  # socket bind listen accept connect accept4
            *(33, 34, 35, 36, 37, 38, 276),  # mknodat mkdirat unlinkat symlinkat linkat renameat renameat2
            *(45, 46, 47),  # truncate ftruncate fallocate
            *(52, 53, 54, 55, 88),  # fchmod fchmodat fchownat fchown utimensat
            *(5, 6, 7, 14, 15, 16),  # setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
            *(221, 281),  # execve execveat
            *(117, 270, 271, 130, 138, 240),  # ptrace process_vm_* tkill rt_sigqueueinfo rt_tgsigqueueinfo
            *(180, 181, 186, 187, 189, 190, 191, 193, 194, 195, 196),  # mq_open mq_unlink, System V
            *(0, 2, 217, 218, 219),  # io_setup io_submit add_key request_key keyctl
            *(39, 40, 41, 51, 97, 224, 225, 265, 268),  # umount2 mount … unshare swapon swapoff open_by_handle_at setns
            *(60, 89, 112, 116, 142, 161, 162, 170, 171, 266),  # quotas, accounting, clocks, syslog, names, reboot
            *(104, 105, 106, 241, 273, 280, 282, 294),  # kexec, modules, perf, bpf, userfaultfd
        ),
        missing=(435, 437),
        clone=220,
        opens=((56, 2),),
        to_itself=(129, 131),
    ),
}


def raise_kernel_barrier(cpu_seconds: int) -> bool:
    """Limit the process's time and memory, and put the filter in force for this thread and those that it starts.

    Returns False where the kernel has no such filter for us.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    _limit(resource.RLIMIT_DATA, MEMORY_BYTES)
    processor = PROCESSORS.get(platform.machine()) if sys.platform == "linux" and sys.maxsize > 1 << 32 else None
    return processor is not None and _put_in_force(_filter(processor, os.getpid()))


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    with suppress(ValueError, OSError):  # the system has another idea of this limit
        resource.setrlimit(kind, (most, most) if hard == resource.RLIM_INFINITY else (min(most, hard), hard))


def _put_in_force(program: bytes) -> bool:
    """Hand the filter to the kernel, which checks it. It stays in force until the process ends."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    library = ctypes.CDLL(None)
    wanted = Program(len(program) // 8, program)
    refused = library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(wanted), 0, 0
    )
    return bool(refused == 0)


def _filter(processor: Processor, process: int) -> bytes:
    """Return the filter's program. A jump is the number of instructions to skip if a test holds, and if it does not."""
    program = [
        _step(LOAD, AUDIT_ARCHITECTURE),
        _step(EQUALS, processor.architecture, 1, 0),
        _step(RETURN, REFUSE),
        _step(LOAD, NUMBER),
        _step(AT_LEAST, X32, 0, 1),
        _step(RETURN, REFUSE),
    ]
    answers = [(number, REFUSE) for number in (*processor.refused, *NEW)]
    answers += [(number, MISSING) for number in processor.missing]
    for number, answer in answers:
        program += [_step(EQUALS, number, 0, 1), _step(RETURN, answer)]
    program += _judged(processor.clone, 0, ANY_BIT, CLONE_THREAD)
    for number, flags in processor.opens:
        program += _judged(number, flags, ANY_BIT, WRITES, allows=False)
    for number in processor.to_itself:
        program += _judged(number, 0, EQUALS, process)
    program.append(_step(RETURN, ALLOW))
    return b"".join(program)


def _judged(number: int, argument: int, test: int, value: int, *, allows: bool = True) -> list[bytes]:
    """Return the instructions that judge the call `number` by the lower half of an argument."""
    return [
        _step(EQUALS, number, 0, 4),
        _step(LOAD, FIRST_ARGUMENT + 8 * argument),
        _step(test, value, 0, 1),
        _step(RETURN, ALLOW if allows else REFUSE),
        _step(RETURN, REFUSE if allows else ALLOW),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
