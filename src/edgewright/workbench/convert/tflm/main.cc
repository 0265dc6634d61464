// One golden sample through the model; exit code 0 when the answer is the one that was verified.
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

enum Outcome { kOk, kUnused, kOperators, kArena, kInput, kInvoke, kOutput, kAnswer };

alignas(16) static uint8_t arena[MODEL_ARENA_BYTES];

static bool IsAlike(const TfLiteTensor& tensor, const GoldenTensor& golden) {
  if (tensor.type != kTfLiteFloat32) {
    return std::memcmp(tensor.data.raw, golden.data, golden.bytes) == 0;
  }
  const float* expected = reinterpret_cast<const float*>(golden.data);
  for (size_t i = 0; i < golden.bytes / sizeof(float); i++) {
    const float limit = 1e-4f * (1.0f + std::fabs(expected[i]));
    if (!(std::fabs(tensor.data.f[i] - expected[i]) <= limit)) return false;
  }
  return true;
}

static Outcome Check() {
  ModelOps ops;
  if (AddModelOps(ops) != kTfLiteOk) return kOperators;
  tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), ops, arena, sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return kArena;
  size_t place = 0;
  for (const GoldenTensor& golden : golden_inputs) {
    TfLiteTensor* input = interpreter.input(place++);
    if (input == nullptr || input->bytes != golden.bytes) return kInput;
    std::memcpy(input->data.raw, golden.data, golden.bytes);
  }
  if (interpreter.Invoke() != kTfLiteOk) return kInvoke;
  place = 0;
  for (const GoldenTensor& golden : golden_outputs) {
    const TfLiteTensor* output = interpreter.output(place++);
    if (output == nullptr || output->bytes != golden.bytes) return kOutput;
    if (!IsAlike(*output, golden)) return kAnswer;
  }
  std::printf("ok, arena %u bytes\n", static_cast<unsigned int>(interpreter.arena_used_bytes()));
  return kOk;
}

int main() {
  tflite::InitializeTarget();
  return Check();
}
