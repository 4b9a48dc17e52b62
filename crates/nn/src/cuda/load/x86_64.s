# A function of a library, or one that candle names and this program does not have: what calls it jumps to where `load` found it.
.macro function name
    .pushsection .rodata.dcgan_cuda, "a", @progbits
.Lname_\name:
    .asciz "\name"
    .popsection
    .pushsection .data.dcgan_cuda, "aw", @progbits
    .quad .Lname_\name
.Lplace_\name:
    .quad .Labsent_\name
    .popsection
    .globl \name
    .hidden \name
    .type \name, @function
\name:
    jmpq *.Lplace_\name(%rip)
.Labsent_\name:
    leaq .Lname_\name(%rip), %rdi
    jmp {absent}
.endm
