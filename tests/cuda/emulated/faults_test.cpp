// Each class of fault is planted, and must be found in every schedule: some by the emulator itself,
// the rest by the checker.
#include <gmock/gmock.h>

#include "tests/cuda/emulated/faulty.h"
#include "tests/cuda/emulator/asan.h"
#include "tests/cuda/emulator/machine.h"
#include "tests/cuda/kernels/gemm_tile.h"
#include "tests/cuda/support/device_array.h"
#include "tests/cuda/support/session.h"

namespace birkhoff::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

struct Planted {
  const char* name;
  Fault fault;
  const char *found, *place;   // both must be in the message
  bool needs_checker = false;  // the emulator alone may miss it
  bool ends_asan = false;      // under ASan the process ends with ASan's report
  const char* or_found = nullptr;
};

// GoogleTest puts printed parameters into the tests' names.
void PrintTo(const Planted& planted, std::ostream* out) { *out << planted.found; }

std::string fault_of(const emulator::Schedule& schedule, Fault fault) {
  emulator::reset(schedule);
  const std::vector<float> ones(64, 1.0f);
  float *p = nullptr, *q = nullptr;
  for (float** array : {&p, &q})
    require_cuda(cudaMalloc(reinterpret_cast<void**>(array), 64 * sizeof(float)), "cudaMalloc");
  require_cuda(cudaMemcpy(p, ones.data(), 64 * sizeof(float), cudaMemcpyHostToDevice), "copy");
  run_faulty(fault, p, q, nullptr);
  const cudaError_t status = cudaDeviceSynchronize();
  EXPECT_EQ(status == cudaSuccess, emulator::fault().empty());
  return emulator::fault();
}

class Faults : public ::testing::TestWithParam<Planted> {};

TEST_P(Faults, AreFoundInEverySchedule) {
  const Planted& planted = GetParam();
  if (planted.needs_checker && !has_checker()) GTEST_SKIP() << "needs the checker";
  for (const emulator::Schedule& schedule : emulator::schedules()) {
    SCOPED_TRACE(to_string(schedule));
    if (emulator::kAsan && planted.ends_asan) {
      EXPECT_DEATH(fault_of(schedule, planted.fault), "AddressSanitizer: use-after-poison");
      continue;
    }
    const std::string fault = fault_of(schedule, planted.fault);
    EXPECT_THAT(fault, AnyOf(HasSubstr(planted.found),
                             HasSubstr(planted.or_found ? planted.or_found : planted.found)));
    EXPECT_THAT(fault, HasSubstr(planted.place));
  }
  emulator::reset({});
}

const Planted kPlanted[] = {
    {"OutOfBounds", Fault::out_of_bounds, "4 bytes at byte 256 of an allocation of 256",
     "faulty.cu:"},
    {"OutOfBoundsPlain", Fault::out_of_bounds_plain, "byte 256 of an allocation of 256",
     "thread (63,0,0)"},
    {"PlainAccess", Fault::plain_access, "device memory without load or store", "faulty.cu:", true},
    {"OutOfBoundsShared", Fault::out_of_bounds_shared, "shared memory", "faulty", false, true},
    {"Misaligned", Fault::misaligned, "16 bytes", "not aligned to them"},
    {"HostMemory", Fault::host_memory, "is not device memory", "thread (0,0,0) at faulty.cu:"},
    {"WrongMask", Fault::wrong_mask, "is not in its mask 0xffff", "faulty.cu:"},
    {"Divergent", Fault::divergent, "shuffle_xor", "faulty.cu:"},
    {"TwoCollectives", Fault::two_collectives,
     "wait in shuffle_xor at faulty.cu:", "at faulty.cu:"},
    {"ExitedLane", Fault::exited_lane, "shuffle_xor", "faulty.cu:"},
    {"TwoBarriers", Fault::two_barriers, "comes to another sync_block", "faulty.cu:"},
    {"Deadlock", Fault::deadlock, "deadlock: thread (0,0,0) waits in sync_block at faulty.cu:",
     "64 of 64 threads have not returned"},
    {"DroppedBarrier", Fault::dropped_barrier, "unordered", "faulty.cu:", true},
    {"DroppedSyncWarp", Fault::dropped_sync_warp, "unordered", "faulty.cu:", true},
    {"UninitialisedShared", Fault::uninitialised_shared, "reads what nobody has set",
     "faulty.cu:", true},
    {"UninitialisedGlobal", Fault::uninitialised_global, "reads what nobody has set",
     "faulty.cu:", true},
    {"TwoWriters", Fault::two_writers, "writes what is written", "faulty.cu:", true},
    {"BlockReadsBlock", Fault::block_reads_block, "unordered", "faulty.cu:", true},
    {"EndlessStack", Fault::endless_stack, "its stack is full", "thread"},
    {"DroppedSyncCluster", Fault::dropped_sync_cluster, "unordered", "faulty_sm_90.cu:", true},
    {"PeerNotBegun", Fault::peer_not_begun, "touches a block that may not have begun",
     "faulty_sm_90.cu:", true},
    {"PeerReturned", Fault::peer_returned, "returned", "faulty_sm_90.cu:", true},
    {"PeerOutOfCluster", Fault::peer_out_of_cluster, "block 2 of a cluster of 2",
     "faulty_sm_90.cu:"},
    {"PeerOfGlobal", Fault::peer_of_global, "not of the block's own shared memory",
     "faulty_sm_90.cu:"},
    {"PlainPeer", Fault::plain_peer, "another block's shared memory without load or store",
     "faulty_sm_90.cu:", true},
    {"TwoBlocksWriteOne", Fault::two_blocks_write_one, "writes what is written",
     "faulty_sm_90.cu:", true},
    {"TwoClusterBarriers", Fault::two_cluster_barriers, "comes to another sync_cluster",
     "faulty_sm_90.cu:"},
    {"ClusterDeadlock", Fault::cluster_deadlock,
     "waits in sync_cluster at faulty_sm_90.cu:", "128 of 128 threads have not returned"},
    // The wait returns at once if the copy has not landed yet, and never if it has.
    {"BulkWrongParity", Fault::bulk_wrong_parity, "reads what a copy is still bringing",
     "at faulty_sm_90.cu:", true, false, "waits in mbarrier_wait at faulty_sm_90.cu:"},
    {"BulkTooFewBytes", Fault::bulk_too_few_bytes,
     "waits in mbarrier_wait at faulty_sm_90.cu:", "lacks 0 arrivals and -16 bytes"},
    {"BulkTooManyBytes", Fault::bulk_too_many_bytes,
     "waits in mbarrier_wait at faulty_sm_90.cu:", "lacks 0 arrivals and 16 bytes"},
    {"BulkReadBeforeWait", Fault::bulk_read_before_wait, "reads what a copy is still bringing",
     "by a bulk copy at faulty_sm_90.cu:", true},
    {"BulkWrongThreadWaits", Fault::bulk_wrong_thread_waits, "unordered", "faulty_sm_90.cu:", true},
    {"BulkOverWhatIsRead", Fault::bulk_over_what_is_read, "unordered", "faulty_sm_90.cu:", true},
    {"BulkWriteInFlight", Fault::bulk_write_in_flight, "writes where a copy is under way",
     "by a bulk copy at faulty_sm_90.cu:", true},
    {"BulkCopiesOverlap", Fault::bulk_copies_overlap, "writes where a copy is under way",
     "by a bulk copy at faulty_sm_90.cu:", true},
    {"BulkMisaligned", Fault::bulk_misaligned, "not aligned to 16 bytes", "at faulty_sm_90.cu:"},
    {"BulkOddSize", Fault::bulk_odd_size, "copy_bulk of 24 bytes", "at faulty_sm_90.cu:"},
    {"BulkNotWaitedFor", Fault::bulk_not_waited_for, "return", "faulty_sm_90.cu:", true},
    {"BulkInitNotFenced", Fault::bulk_init_not_fenced, "without a fence_async",
     "faulty_sm_90.cu:", true},
    {"BulkWritesNotFenced", Fault::bulk_writes_not_fenced, "without a fence_async",
     "faulty_sm_90.cu:", true},
    {"MbarrierNotSeen", Fault::mbarrier_not_seen, "thread", "faulty_sm_90.cu:", true},
    {"MbarrierNeverMade", Fault::mbarrier_never_made, "no mbarrier_init of the block has made it",
     "at faulty_sm_90.cu:"},
    {"MbarrierArrivesTwice", Fault::mbarrier_arrives_twice, "more arrivals than its 1 in phase 0",
     "at faulty_sm_90.cu:"},
    {"MbarrierPhaseSkipped", Fault::mbarrier_phase_skipped, "deadlock",
     "phase 1 of the mbarrier at byte"},
    {"PeerArrivalUnseen", Fault::peer_arrival_unseen, "mbarrier_wait_for_peers does",
     "at faulty_sm_90.cu:"},
    {"PeerArrivalTooEarly", Fault::peer_arrival_too_early, "unordered", "faulty_sm_90.cu:", true},
    {"PeerArrivalNotBegun", Fault::peer_arrival_not_begun,
     "touches a block that may not have begun", "faulty_sm_90.cu:", true, false,
     "no mbarrier_init of the block has made it one"},
    {"PeerArrivalOfNothing", Fault::peer_arrival_of_nothing,
     "no mbarrier_init of the block has made it one", "at faulty_sm_90.cu:"},
};
INSTANTIATE_TEST_SUITE_P(Planted, Faults, ::testing::ValuesIn(kPlanted),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(NoFault, NoneIsFoundWhereNoneIs) {
  for (const emulator::Schedule& schedule : emulator::schedules())
    for (const Fault none : {Fault::none, Fault::harmless_cluster, Fault::bulk_harmless,
                             Fault::peer_arrivals_harmless})
      EXPECT_EQ(fault_of(schedule, none), "");
}

// Faults of a real kernel. Some schedules hide them without the checker, so it is required.
TEST(GemmFaults, OfAsynchronousCopiesAreFoundInEverySchedule) {
  if (!has_checker()) GTEST_SKIP() << "needs the checker";
  for (const emulator::Schedule& schedule : emulator::schedules())
    for (const GemmFault planted : {GemmFault::no_barrier, GemmFault::wrong_wait}) {
      SCOPED_TRACE(to_string(schedule));
      emulator::reset(schedule);
      const int m = 64, n = 64, k = 96;
      const DeviceArray<bf16> a(std::vector<bf16>(size_t(m * k))),
          b(std::vector<bf16>(size_t(k * n)));
      const DeviceArray<float> c(size_t(m * n));
      run_gemm_tile({a.data(), b.data(), c.data(), m, n, k}, planted, nullptr);
      EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
      EXPECT_THAT(emulator::fault(), HasSubstr(planted == GemmFault::no_barrier
                                                   ? "writes while it is read"
                                                   : "reads what a copy is still bringing"));
    }
  emulator::reset({});
}

}  // namespace
}  // namespace birkhoff::testing
