/* Asks a model for one row of float32 over the V2 protocol with binary tensors, without libraries.
 *
 *     cc -O2 -o infer infer.c
 *     ./infer 127.0.0.1 8080 har x 1.0 2.0 3.0 4.0       # host port model input numbers...
 *
 * Prints the numbers of the model's first output, one a line; a refusal goes to stderr. Numbers travel as the
 * machine holds them, so this is for little-endian machines, as nearly all are. */
#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[1 << 20];

static int connected(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0) return -1;
    int door = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (door >= 0 && connect(door, found->ai_addr, found->ai_addrlen) != 0) door = -1;
    freeaddrinfo(found);
    return door;
}

static long header(const char *name) {
    const char *at = strcasestr(answer, name);
    return at ? atol(at + strlen(name)) : -1;
}

int main(int argc, char **argv) {
    if (argc < 6) return fprintf(stderr, "usage: infer HOST PORT MODEL INPUT NUMBER...\n"), 2;
    int count = argc - 5, door = connected(argv[1], argv[2]);
    if (door < 0) return perror("connect"), 1;

    float *row = malloc(count * sizeof *row);
    for (int i = 0; i < count; i++) row[i] = strtof(argv[5 + i], NULL);
    long data_bytes = count * (long)sizeof *row;
    char text[1024], head[1024];
    int text_bytes = snprintf(text, sizeof text,
        "{\"inputs\":[{\"name\":\"%s\",\"datatype\":\"FP32\",\"shape\":[1,%d],"
        "\"parameters\":{\"binary_data_size\":%ld}}],\"parameters\":{\"binary_data_output\":true}}",
        argv[4], count, data_bytes);
    int head_bytes = snprintf(head, sizeof head,
        "POST /v2/models/%s/infer HTTP/1.1\r\nhost: %s\r\nconnection: close\r\ncontent-length: %ld\r\n"
        "inference-header-content-length: %d\r\n\r\n", argv[3], argv[1], text_bytes + data_bytes, text_bytes);
    if (write(door, head, head_bytes) < 0 || write(door, text, text_bytes) < 0 ||
        write(door, row, data_bytes) < 0) return perror("write"), 1;

    long size = 0, got;
    while ((got = read(door, answer + size, sizeof answer - 1 - size)) > 0) size += got;
    char *body = strstr(answer, "\r\n\r\n");
    if (!body) return fprintf(stderr, "no whole answer\n"), 1;
    body += 4;
    if (strncmp(answer, "HTTP/1.1 200", 12) != 0) return fprintf(stderr, "%s\n", body), 1;
    long first_bytes = header("\"binary_data_size\":");
    const char *output = body + header("inference-header-content-length: ");
    for (long i = 0; i < first_bytes / 4; i++) {
        float value;
        memcpy(&value, output + 4 * i, sizeof value);
        printf("%.9g\n", value);
    }
    return 0;
}
