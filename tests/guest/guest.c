// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest whose memory is known page by page: it runs in QEMU, where tests/system/guest tells it by
 * the first serial line what to write and to read.
 *
 * It says "ram FIRST END" of each piece of memory that the firmware tells it of, "own FIRST END" of
 * where it lies itself, and "ready". Then it takes commands, a letter and numbers of pages:
 *
 *     w FIRST COUNT STEP MARK    write COUNT pages, from FIRST on, each STEP-th
 *     v FIRST COUNT STEP MARK    verify them, each byte
 *     z FIRST COUNT STEP         verify that they are all zeros
 *     r FIRST COUNT STEP         read a byte of each
 *
 * and answers with "ok COUNT", or with "bad PAGE OFFSET" of the first word that is not as it should
 * be, or with "no" and why. All numbers are hexadecimal. Meanwhile it sleeps: what is not asked for
 * is not touched. It does nothing to the first MiB, nor to itself.
 *
 * A page's first word is its own guest-physical address with the mark in the lowest 12 bits, so
 * that whoever looks at the memory from outside learns where the guest sees it; the second says
 * that it is one of ours; the others are the first, mixed.
 */
#include <stdint.h>

enum {
	COM1 = 0x3f8,
	PAGE_SHIFT = 12,
	PAGE_SIZE = 1 << PAGE_SHIFT,
	WORDS = PAGE_SIZE / 8,
	LARGE_SHIFT = 21, /* of pages as the tables below have them */
	WINDOW = 1 << 30, /* where the window begins, and how large it is */
	MAX_RAM = 16,
};

#define OURS UINT64_C(0x455441545348534d)
#define MIX UINT64_C(0x9e3779b97f4a7c15)

extern char guest_start[], guest_end[];
void wait_for_interrupt(void);
void guest_main(uint32_t magic, const uint8_t *info);

/* ---- the serial line ------------------------------------------------------------------------ */

static void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void put(const char *text)
{
	for (; *text; text++) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, *text);
	}
}

static void put_number(uint64_t number)
{
	char text[18], *at = text + sizeof(text) - 1;

	*at = 0;
	do
		*--at = "0123456789abcdef"[number & 15];
	while (number >>= 4);
	put(" ");
	put(at);
}

/* The interrupts of all but the serial line stay masked; the PIC is to end them by itself. */
static void serial_start(void)
{
	static const uint8_t pic[] = {0x11, 0x20, 0x04, 0x03}, slave[] = {0x11, 0x28, 0x02, 0x03};
	int i;

	for (i = 0; i < 4; i++) {
		outb(i ? 0x21 : 0x20, pic[i]);
		outb(i ? 0xa1 : 0xa0, slave[i]);
	}
	outb(0x21, (uint8_t) ~(1 << 4));
	outb(0xa1, 0xff);
	outb(COM1 + 3, 3);   /* 8 bits */
	outb(COM1 + 2, 7);   /* FIFO, empty */
	outb(COM1 + 4, 0xb); /* lets the interrupt through */
	outb(COM1 + 1, 1);   /* when something comes in */
}

static char get(void)
{
	while (!(inb(COM1 + 5) & 1))
		wait_for_interrupt();
	return inb(COM1);
}

static void get_line(char *line, unsigned room)
{
	unsigned length = 0;
	char c;

	while ((c = get()) != '\n')
		if (length < room - 1)
			line[length++] = c;
	line[length] = 0;
}

/* ---- memory --------------------------------------------------------------------------------- */

static struct {
	uint64_t first, end; /* pages */
} ram[MAX_RAM];
static unsigned n_ram;

/* PAE: the first GiB as it is, and a window of one GiB onto any other. */
static uint64_t directories[4] __attribute__((aligned(32)));
static uint64_t low[512] __attribute__((aligned(4096)));
static uint64_t window[512] __attribute__((aligned(4096)));
static uint64_t window_at = UINT64_MAX;

static uint64_t field(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

/* The memory map of the multiboot information: entries with their own length in front. */
static int ram_find(const uint8_t *info)
{
	const uint8_t *at, *end;

	if (!(field(info, 4) & 1 << 6))
		return -1;
	at = (const uint8_t *)(uintptr_t)field(info + 48, 4);
	end = at + field(info + 44, 4);
	for (; at < end && n_ram < MAX_RAM; at += field(at, 4) + 4) {
		uint64_t base = field(at + 4, 8), length = field(at + 12, 8);

		if (field(at + 20, 4) != 1)
			continue;
		ram[n_ram].first = (base + PAGE_SIZE - 1) >> PAGE_SHIFT;
		ram[n_ram].end = (base + length) >> PAGE_SHIFT;
		n_ram++;
	}
	return 0;
}

static void paging_start(void)
{
	uint32_t value;
	unsigned i;

	for (i = 0; i < 512; i++)
		low[i] = (uint64_t)i << LARGE_SHIFT | 0x83;
	directories[0] = (uintptr_t)low | 1;
	directories[1] = (uintptr_t)window | 1;
	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	__asm__ volatile("mov %0, %%cr4" : : "r"(value | 1 << 5));
	__asm__ volatile("mov %0, %%cr3" : : "r"(directories));
	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	__asm__ volatile("mov %0, %%cr0" : : "r"(value | 1u << 31) : "memory");
}

/* Where the page can be reached. */
static volatile uint64_t *reach(uint64_t page)
{
	uint64_t gib = page >> (30 - PAGE_SHIFT);
	unsigned i;

	if (gib != window_at) {
		for (i = 0; i < 512; i++)
			window[i] = gib << 30 | (uint64_t)i << LARGE_SHIFT | 0x83;
		__asm__ volatile("mov %0, %%cr3" : : "r"(directories) : "memory");
		window_at = gib;
	}
	return (volatile uint64_t *)(uintptr_t)(WINDOW + ((uint32_t)page << PAGE_SHIFT) % WINDOW);
}

/* In a piece of memory, above the first MiB, and not where we are ourselves. */
static int is_ours(uint64_t page)
{
	unsigned i;

	if (page < (uintptr_t)guest_end >> PAGE_SHIFT)
		return 0;
	for (i = 0; i < n_ram; i++)
		if (page >= ram[i].first && page < ram[i].end)
			return 1;
	return 0;
}

static uint64_t word(uint64_t first, unsigned i)
{
	return i == 0 ? first : i == 1 ? OURS : (first + i) * MIX;
}

static void write_page(volatile uint64_t *at, uint64_t first)
{
	unsigned i;

	for (i = 0; i < WORDS; i++)
		at[i] = word(first, i);
}

/* ---- commands ------------------------------------------------------------------------------- */

struct command {
	char what;
	uint64_t page, count, step, mark;
};

static const char *parse_number(const char *text, uint64_t *ret)
{
	uint64_t number = 0;

	while (*text == ' ')
		text++;
	for (; *text && *text != ' '; text++)
		number = number << 4 | ((*text <= '9' ? *text : *text + 9) & 15);
	*ret = number;
	return text;
}

static int bad(uint64_t page, unsigned i)
{
	put("bad");
	put_number(page);
	put_number(i * 8);
	put("\n");
	return -1;
}

static int check_page(const struct command *c, volatile uint64_t *at, uint64_t first)
{
	unsigned i;

	for (i = 0; i < WORDS; i++)
		if (at[i] != (c->what == 'z' ? 0 : word(first, i)))
			return bad(c->page, i);
	return 0;
}

static int do_page(const struct command *c)
{
	uint64_t first = c->page << PAGE_SHIFT | c->mark;
	volatile uint64_t *at = reach(c->page);

	switch (c->what) {
	case 'w':
		write_page(at, first);
		return 0;
	case 'r':
		(void)at[0];
		return 0;
	}
	return check_page(c, at, first);
}

static void obey(const char *line)
{
	struct command c = {.what = line[0]};
	uint64_t i;

	if (c.what != 'w' && c.what != 'v' && c.what != 'z' && c.what != 'r') {
		put("no such command\n");
		return;
	}
	line = parse_number(line + 1, &c.page);
	line = parse_number(line, &c.count);
	line = parse_number(line, &c.step);
	parse_number(line, &c.mark);
	for (i = 0; i < c.count; i++, c.page += c.step) {
		if (!is_ours(c.page)) {
			put("no memory of the guest's at");
			put_number(c.page);
			put("\n");
			return;
		}
		if (do_page(&c) < 0)
			return;
	}
	put("ok");
	put_number(c.count);
	put("\n");
}

static void put_pages(const char *what, uint64_t first, uint64_t end)
{
	put(what);
	put_number(first);
	put_number(end);
	put("\n");
}

void guest_main(uint32_t magic, const uint8_t *info)
{
	char line[80];
	unsigned i;

	serial_start();
	if (magic != 0x2badb002 || ram_find(info) < 0) {
		put("no memory map: not started by multiboot\n");
		return;
	}
	for (i = 0; i < n_ram; i++)
		put_pages("ram", ram[i].first, ram[i].end);
	put_pages("own", (uintptr_t)guest_start >> PAGE_SHIFT, (uintptr_t)guest_end >> PAGE_SHIFT);
	paging_start();
	put("ready\n");
	for (;;) {
		get_line(line, sizeof(line));
		obey(line);
	}
}
