/* Is the array that was compiled the file that was verified? Needs no TFLM. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "model_data.h"

int main(void) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned int i = 0; i < model_data_size; i++) {
    hash = (hash ^ model_data[i]) * 0x100000001b3u;
  }
  if (hash != MODEL_FNV1A) {
    printf("model_data differs from the file that was verified\n");
    return 1;
  }
  if (memcmp(model_data + 4, "TFL3", 4) != 0 || (uintptr_t)model_data % 16 != 0) {
    printf("model_data is no aligned LiteRT file\n");
    return 1;
  }
  printf("ok %u bytes, arena %u bytes\n", model_data_size, (unsigned int)MODEL_ARENA_BYTES);
  return 0;
}
