// Stands for libnccl.so.2: with FAKE_LACKS, without a function that is needed; with a version of 0,
// one that fails.
extern "C" {

int ncclGetVersion(int* version) {
  *version = FAKE_VERSION;
  return FAKE_VERSION == 0;
}
void ncclGetUniqueId() {}
void ncclCommInitRankConfig() {}
void ncclCommAbort() {}
#ifndef FAKE_LACKS
void ncclCommSplit() {}
#endif

}  // extern "C"
