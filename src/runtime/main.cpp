#include <cstdio>

int main() {
  std::puts("lmfast " LM_VERSION);
  return 0;
}
