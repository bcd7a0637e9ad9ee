#pragma once

namespace shoal {

/// Who goes first when the processor is short: who asks does not wait for who
/// sends, and neither for work on what is stored. Nice levels as in nice(1).
inline constexpr int kIntakeNice = 5;
inline constexpr int kProcessingNice = 10;

/// Sets the level of the calling thread and of those that it starts. Where
/// the system refuses, the thread goes on as it was.
void set_thread_nice(int level);

}  // namespace shoal
