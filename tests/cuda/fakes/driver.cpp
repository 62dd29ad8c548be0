// A fake libcuda.so.1.
extern "C" int cuDriverGetVersion(int* version) {
  *version = FAKE_VERSION;
  return 0;
}
