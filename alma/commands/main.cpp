#include "alma/commands/commands.h"

int main(int argc, char** argv) { return alma::alma_main(argc, argv); }
