/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the guest starts: by multiboot, in 32-bit protected mode without paging; and how it waits.
 */
	.code32

	/* what the loader looks for: it is to tell the memory map */
	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 2, -(0x1badb002 + 2)

	.text
	.globl start
start:
	cli
	movl $stack_end, %esp
	lgdt gdt_pointer
	ljmp $8, $1f
1:	movw $16, %cx
	movw %cx, %ds
	movw %cx, %es
	movw %cx, %fs
	movw %cx, %gs
	movw %cx, %ss
	/* the gate of the serial line's interrupt: the address of irq in two halves */
	movl $irq, %ecx
	movw %cx, gate
	shrl $16, %ecx
	movw %cx, gate + 6
	lidt idt_pointer
	pushl %ebx
	pushl %eax
	call guest_main
2:	hlt
	jmp 2b

	/* The PIC ends the interrupt by itself, and who waits looks at the serial line. */
irq:
	iret

	/* void wait_for_interrupt(void): called with interrupts off, returns so */
	.globl wait_for_interrupt
wait_for_interrupt:
	sti
	hlt
	cli
	ret

	.data
	.align 8
gdt:
	.quad 0
	.quad 0x00cf9a000000ffff /* code, 4 GiB */
	.quad 0x00cf92000000ffff /* data, 4 GiB */
gdt_pointer:
	.word . - gdt - 1
	.long gdt
	.align 8
idt:
	.fill 0x24, 8, 0
gate: /* 0x24: IRQ 4 */
	.word 0, 8, 0x8e00, 0
idt_pointer:
	.word idt_pointer - idt - 1
	.long idt

	.bss
	.align 16
	.skip 16384
stack_end:

	.section .note.GNU-stack, "", @progbits
