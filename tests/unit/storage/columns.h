/*
 * columns - made-up columns of times and values for the tests of codec, files and merge: usual
 * shapes and hostile ones.
 *
 * Thread: one; the random state is the caller's.
 */
#ifndef TESTS_UNIT_STORAGE_COLUMNS_H
#define TESTS_UNIT_STORAGE_COLUMNS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t columns_rand(uint64_t *s)
{
	*s += 0x9e3779b97f4a7c15u;
	uint64_t x = *s;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}
static inline uint64_t columns_below(uint64_t *s, uint64_t n)
{
	return columns_rand(s) % n;
}
static inline double columns_bits(uint64_t u)
{
	double d;
	memcpy(&d, &u, 8);
	return d;
}

#define COLUMNS_SHAPES 26u
static inline void columns_values(uint64_t *s, unsigned shape, double *v, size_t n)
{
	double x = (double)columns_below(s, 1000000);
	double scale = pow(10, (double)columns_below(s, 7));
	uint64_t acc = columns_rand(s) >> columns_below(s, 60);
	for (size_t i = 0; i < n; i++) {
		switch (shape) {
		case 0:
			v[i] = x;
			break;
		case 1:
			v[i] = x += (double)columns_below(s, 100);
			break;
		case 2:
			v[i] = x += columns_below(s, 40) ? 0 : (double)columns_below(s, 1000);
			break;
		case 3:
			v[i] = (double)columns_below(s, 1000) / 10;
			break;
		case 4:
			v[i] = (double)(4096 * columns_below(s, 100000));
			break;
		case 5:
			v[i] = columns_bits(columns_rand(s));
			break;
		case 6:
			v[i] = x += 0.01 * (double)columns_below(s, 300);
			break; /* noise of additions */
		case 7:
			v[i] = round(x += (double)columns_below(s, 300)) / 100;
			break;
		case 8:
			v[i] = (double)columns_below(s, 1000) / 999;
			break;
		case 9:
			v[i] = i > n / 2 ? columns_bits(0x7ff0000000000002u) : x;
			break;
		case 10:
			v[i] = columns_below(s, 20) ? x : columns_bits(0x7ff0000000000002u);
			break;
		case 11:
			v[i] = columns_below(s, 2) ? 0.0 : -0.0;
			break;
		case 12:
			v[i] = columns_below(s, 3) ? INFINITY : -INFINITY;
			break;
		case 13:
			v[i] = columns_bits(0x7ff8000000000000u | columns_below(s, 1u << 20));
			break;
		case 14:
			v[i] = columns_below(s, 50) ? (x += 3) : (x = 0);
			break; /* resets */
		case 15:
			v[i] = x + 1000.0 * (double)i;
			break;
		case 16:
			v[i] = (double)columns_below(s, 10) * 1e300;
			break;
		case 17:
			v[i] = (double)columns_below(s, 10) * 5e-324;
			break;
		case 18:
			v[i] = (double)columns_below(s, 1u << 20) / scale *
			    (columns_below(s, 2) ? 1 : -1);
			break;
		case 19:
			v[i] = columns_bits(acc += columns_below(s, 1000));
			break;
		case 20:
			v[i] = columns_below(s, 10) ? (double)columns_below(s, 5)
			                            : columns_bits(columns_rand(s));
			break;
		case 21:
			v[i] = 9007199254740993.0 - (double)columns_below(s, 5);
			break;
		case 22:
			v[i] = (double)(float)((double)columns_rand(s) / 1e9);
			break;
		case 23:
			v[i] = (double)(int64_t)columns_rand(s);
			break;
		case 24:
			v[i] = columns_below(s, 60)
			    ? 0
			    : (double)(int64_t)(columns_rand(s) >> columns_below(s, 64)) / 1000;
			break;
		default:
			v[i] = i % 7 ? x : x + (double)(i % 5);
			break;
		}
	}
}

#define COLUMNS_TIMES 9u
static inline void columns_times(uint64_t *s, unsigned shape, int64_t *t, size_t n)
{
	int64_t x = 1795169302921 + (int64_t)columns_below(s, 100000000);
	if (shape == 5)
		x = INT64_MIN;
	if (shape == 6)
		x = INT64_MAX - (int64_t)n * 1000 - 1;
	int64_t start = x;
	for (size_t i = 0; i < n; i++) {
		switch (shape) {
		case 0:
			t[i] = start + 15000 * (int64_t)i;
			break;
		case 1:
			t[i] = start + 15000 * (int64_t)i + (int64_t)columns_below(s, 20);
			break;
		case 2:
			t[i] = x += columns_below(s, 50) ? 15000 : 30000;
			break;
		case 3:
			t[i] = x += 1 + (int64_t)columns_below(s, 1000000);
			break;
		case 4:
			t[i] = start + (int64_t)i;
			break;
		case 5:
			t[i] = x;
			x = (int64_t)((uint64_t)x + UINT64_MAX / (n + 1) + 1);
			break;
		case 6:
			t[i] = x += 1 + (int64_t)columns_below(s, 999);
			break;
		case 7:
			t[i] = x +=
			    columns_below(s, 100) ? 1000 : (int64_t)(1 + (columns_rand(s) >> 20));
			break;
		default:
			t[i] = (int64_t)i - 5;
			break;
		}
	}
}

#endif
