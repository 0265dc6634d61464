// One golden input through the model; exit code 0 when the answer is the one that was verified.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "golden.h"
#include "model_data.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"

alignas(16) static uint8_t arena[MODEL_ARENA_BYTES];

int main() {
  tflite::InitializeTarget();
  ModelOps ops;
  if (AddModelOps(ops) != kTfLiteOk) return 2;
  tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), ops, arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return 3;
  TfLiteTensor* input = interpreter.input(0);
  if (input->bytes != sizeof(golden_input)) return 4;
  std::memcpy(input->data.raw, golden_input, sizeof(golden_input));
  if (interpreter.Invoke() != kTfLiteOk) return 5;
  const TfLiteTensor* output = interpreter.output(0);
  if (output->bytes != sizeof(golden_output)) return 6;
  if (output->type == kTfLiteFloat32) {
    const float* expected = reinterpret_cast<const float*>(golden_output);
    for (size_t i = 0; i < output->bytes / sizeof(float); i++) {
      if (!(std::fabs(output->data.f[i] - expected[i]) <= 1e-4f * (1.0f + std::fabs(expected[i])))) {
        return 7;
      }
    }
  } else if (std::memcmp(output->data.raw, golden_output, sizeof(golden_output)) != 0) {
    return 7;
  }
  std::printf("ok, arena %u bytes\n", static_cast<unsigned int>(interpreter.arena_used_bytes()));
  return 0;
}
