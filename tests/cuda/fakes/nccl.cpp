// A fake libnccl.so.2. With FAKE_LACKS a required function is missing; with a version of 0, asking
// for the version fails.
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
