# A function of a library: what calls it jumps to where `load` found it, or to `absent`.
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
