/*
 * Assertions that stay on in release builds. pure
 *
 * A failed assertion means that the program's own logic is broken; going on could damage the log,
 * so the process stops. Bad input is never an assertion: it is a status.
 *
 *   sp_require    a precondition the caller owes
 *   sp_ensure     a postcondition this function owes
 *   sp_invariant  a property of an object that holds between calls
 *   sp_never      a branch that cannot be reached
 */
#ifndef SP_BASE_ASSERT_H
#define SP_BASE_ASSERT_H

#if defined(__GNUC__)
#define SP_LIKELY(x)         __builtin_expect(!!(x), 1)
#define SP_UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define SP_NORETURN          __attribute__((noreturn, cold))
#define SP_WARN_UNUSED       __attribute__((warn_unused_result))
#define SP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SP_HOT               __attribute__((hot))
#define SP_ALWAYS_INLINE     inline __attribute__((always_inline))
#else
#define SP_LIKELY(x)   (x)
#define SP_UNLIKELY(x) (x)
#define SP_NORETURN
#define SP_WARN_UNUSED
#define SP_PRINTF(fmt, args)
#define SP_HOT
#define SP_ALWAYS_INLINE inline
#endif

/*
 * Stops the process with abort(). The text of the failed expression and its place stay readable in
 * the core dump and in the debugger: pure floors may not print.
 */
SP_NORETURN void sp_assert_failed(const char *kind, const char *what, const char *file, int line);

#define SP_ASSERT_(kind, cond)                                                                     \
    (SP_LIKELY(cond) ? (void)0 : sp_assert_failed((kind), #cond, __FILE__, __LINE__))

#define sp_require(cond)   SP_ASSERT_("require", cond)
#define sp_ensure(cond)    SP_ASSERT_("ensure", cond)
#define sp_invariant(cond) SP_ASSERT_("invariant", cond)
#define sp_never()         sp_assert_failed("never", "reached", __FILE__, __LINE__)

#endif
