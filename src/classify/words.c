/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "classify/words.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_VECTOR_VERSIONS 1
#endif

void words_sort_generic(const uint64_t words[WORDS], struct word_masks *ret)
{
	struct word_masks m = {.all = UINT64_MAX};

	for (unsigned k = 0; k < WORDS; k++) {
		uint64_t w = words[k], is_value = w & 1, if_value = -is_value;

		m.used |= (uint64_t)(w != 0) << k;
		m.value |= is_value << k;
		m.internal |= (~w & w >> 1 & 1) << k;
		m.any |= w & if_value;
		m.all &= w | ~if_value;
	}
	*ret = m;
}

#ifdef HAVE_VECTOR_VERSIONS

/* The sign bits of four words. */
__attribute__((target("avx2"))) static inline uint64_t sign_bits(__m256i w)
{
	return (uint64_t)_mm256_movemask_pd(_mm256_castsi256_pd(w));
}

__attribute__((target("avx2"))) void words_sort_avx2(const uint64_t words[WORDS],
						     struct word_masks *ret)
{
	const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi64x(1);
	__m256i any = zero, all = _mm256_set1_epi64x(-1);
	uint64_t empty = 0, value = 0, second = 0, ors[4], ands[4];

#pragma GCC unroll 16
	for (unsigned k = 0; k < WORDS; k += 4) {
		__m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(words + k));
		__m256i if_value = _mm256_sub_epi64(zero, _mm256_and_si256(w, one));

		empty |= sign_bits(_mm256_cmpeq_epi64(w, zero)) << k;
		value |= sign_bits(if_value) << k;
		second |= sign_bits(_mm256_slli_epi64(w, 62)) << k;
		any = _mm256_or_si256(any, _mm256_and_si256(w, if_value));
		all = _mm256_andnot_si256(_mm256_andnot_si256(w, if_value), all);
	}
	_mm256_storeu_si256((__m256i *)(void *)ors, any);
	_mm256_storeu_si256((__m256i *)(void *)ands, all);
	*ret = (struct word_masks){
		.used = ~empty,
		.value = value,
		.internal = second & ~value,
		.any = ors[0] | ors[1] | ors[2] | ors[3],
		.all = ands[0] & ands[1] & ands[2] & ands[3],
	};
}

__attribute__((target("avx512f"))) static void words_sort_avx512(const uint64_t words[WORDS],
								 struct word_masks *ret)
{
	const __m512i one = _mm512_set1_epi64(1), two = _mm512_set1_epi64(2);
	__m512i any = _mm512_setzero_si512(), all = _mm512_set1_epi64(-1);
	uint64_t used = 0, value = 0, second = 0;

#pragma GCC unroll 8
	for (unsigned k = 0; k < WORDS; k += 8) {
		__m512i w = _mm512_loadu_si512(words + k);
		__mmask8 is_value = _mm512_test_epi64_mask(w, one);

		used |= (uint64_t)_mm512_test_epi64_mask(w, w) << k;
		value |= (uint64_t)is_value << k;
		second |= (uint64_t)_mm512_test_epi64_mask(w, two) << k;
		any = _mm512_mask_or_epi64(any, is_value, any, w);
		all = _mm512_mask_and_epi64(all, is_value, all, w);
	}
	*ret = (struct word_masks){
		.used = used,
		.value = value,
		.internal = second & ~value,
		.any = (uint64_t)_mm512_reduce_or_epi64(any),
		.all = (uint64_t)_mm512_reduce_and_epi64(all),
	};
}

void words_sort(const uint64_t words[WORDS], struct word_masks *ret)
{
	if (__builtin_cpu_supports("avx512f"))
		words_sort_avx512(words, ret);
	else if (__builtin_cpu_supports("avx2"))
		words_sort_avx2(words, ret);
	else
		words_sort_generic(words, ret);
}

#else

void words_sort_avx2(const uint64_t words[WORDS], struct word_masks *ret)
{
	words_sort_generic(words, ret);
}

void words_sort(const uint64_t words[WORDS], struct word_masks *ret)
{
	words_sort_generic(words, ret);
}

#endif
